// What is looked for: folder, kind, words. Kept in the address, so that a reload shows the same.

import { byId, count, settled } from "./dom.js";

const PAUSE_MS = 150;

export class Filters extends EventTarget {
  #search = /** @type {HTMLInputElement} */ (byId("search"));
  #deep = /** @type {HTMLInputElement} */ (byId("deep"));
  #shows = byId("shows");

  /** @param {import("./tree.js").Tree} tree */
  constructor(tree) {
    super();
    this.tree = tree;
    this.#read();
    addEventListener("hashchange", () => {
      if (location.hash && !location.hash.startsWith("#/gallery")) return;
      this.#read();
      tree.draw();
      this.dispatchEvent(new CustomEvent("change"));
    });
    this.#search.addEventListener("input", settled(() => this.#changed(), PAUSE_MS));
    this.#search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") byId("gallery").focus();
      else return;
      event.preventDefault();
    });
    this.#deep.addEventListener("change", () => this.#changed());
    this.#shows.addEventListener("change", () => this.#changed());
    tree.addEventListener("choose", () => this.#changed());
  }

  /** @returns {import("./listing.js").Filters} */
  get value() {
    return {
      folder: this.tree.chosen || undefined,
      deep: this.#deep.checked,
      show: this.#radios().find((radio) => radio.checked)?.value ?? "all",
      text: this.#search.value.trim(),
    };
  }

  /** Takes the filters from the address. */
  #read() {
    const asked = new URLSearchParams(location.hash.replace(/^#\/gallery\??/, ""));
    this.#search.value = asked.get("text") ?? "";
    this.#deep.checked = asked.get("deep") !== "0";
    this.tree.chosen = asked.get("folder") ?? this.tree.folders[0]?.id ?? "";
    const [all, ...others] = this.#radios();
    (others.find((radio) => radio.value === asked.get("show")) ?? all).checked = true;
  }

  focus() {
    this.#search.focus();
    this.#search.select();
  }

  /** Shows everything in the folder. */
  clear() {
    this.#search.value = "";
    this.#radios()[0].checked = true;
    this.#changed();
  }

  /** @param {Record<string, number>} tally */
  tell(tally) {
    for (const [name, n] of Object.entries(tally)) {
      const place = this.#shows.querySelector(`[data-tally="${name}"]`);
      if (place) place.textContent = count(n);
    }
    const radio = this.#radios().find(({ value }) => value === "unsaved");
    const label = radio?.closest("label");
    if (radio && label) label.hidden = !tally.unsaved && !radio.checked;
  }

  #radios() {
    return /** @type {HTMLInputElement[]} */ ([...this.#shows.querySelectorAll("input")]);
  }

  #changed() {
    const { folder, deep, show, text } = this.value;
    const asked = new URLSearchParams();
    if (folder && folder !== this.tree.folders[0]?.id) asked.set("folder", folder);
    if (!deep) asked.set("deep", "0");
    if (show !== "all") asked.set("show", show);
    if (text) asked.set("text", text);
    history.replaceState(null, "", asked.size ? `#/gallery?${asked}` : location.pathname);
    this.dispatchEvent(new CustomEvent("change"));
  }
}
