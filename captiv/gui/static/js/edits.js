// The view for bulk edits: what to change, every change before it is made, and the way back.

import { get, Refusal, send } from "./api.js";
import { byId, count, el, plural, when } from "./dom.js";
import { difference } from "./difference.js";
import { notice } from "./notices.js";
import { outOfSight } from "./sight.js";

/**
 * @typedef {{id: string, name: string, old: string, new: string}} Change
 * @typedef {{preview: string, words: string, total: number, offset: number, changes: Change[],
 *   kept: string[], kept_total: number}} Preview
 * @typedef {{kept: string[], kept_total: number, unsafe?: string[], unsafe_total?: number}} Result
 * @typedef {{edit: number, words: string, captions: number, created_ms: number, undone_ms: number|null, unseen: number}} Past
 * @typedef {{id: string, words: string, done: number, total: number}} Work
 */

export class Edits {
  #form = /** @type {HTMLFormElement} */ (byId("edit-form"));
  #list = byId("changes");
  #make = /** @type {HTMLButtonElement} */ (byId("changes-make"));
  #selection;
  #listing;
  /** @type {Preview|null} */
  #preview = null;
  #fetching = false;

  #sight;

  /**
   * @param {import("./selection.js").Selection} selection @param {import("./listing.js").Listing} listing
   * @param {import("./sight.js").Sight} sight
   */
  constructor(selection, listing, sight) {
    this.#sight = sight;
    this.#selection = selection;
    this.#listing = listing;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#look();
    });
    this.#form.addEventListener("input", () => this.#stale());
    this.#make.addEventListener("click", () => this.#change());
    selection.addEventListener("change", () => this.#scopes());
    listing.addEventListener("made", () => this.#scopes());
    sight.addEventListener("change", () => this.#scopes());
    const more = new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.#more());
    more.observe(byId("changes-kept"));
    this.#scopes();
  }

  /** Shows the edits that were made, anew. */
  async load() {
    const { edits } = /** @type {{edits: Past[]}} */ (await get("/api/edits", { list: this.#listing.id || undefined }));
    const none = el("li", { class: "small" }, "None yet. Each one can be undone as a whole.");
    byId("edits-past").replaceChildren(...(edits.length ? edits.map((past) => this.#past(past)) : [none]));
  }

  /** Shows how far the edits are that are being made or undone. @param {Work[]} works */
  working(works) {
    const box = byId("edits-working");
    box.hidden = !works.length;
    for (const row of box.querySelectorAll("[data-work]")) {
      if (!works.some(({ id }) => id === /** @type {HTMLElement} */ (row).dataset.work)) row.remove();
    }
    for (const work of works) {
      // A row stays the same element, so that a click on its button is not lost to an update.
      const row = box.querySelector(`[data-work="${work.id}"]`) ?? box.appendChild(working(work));
      /** @type {HTMLProgressElement} */ (row.querySelector("progress")).value = work.done;
      row.querySelector("p")?.replaceChildren(`${count(work.done)} of ${plural(work.total, "caption")}: ${work.words}`);
    }
  }

  /** Turns to the selected images, from the gallery. */
  forSelected() {
    const radio = /** @type {HTMLInputElement} */ (/** @type {RadioNodeList} */ (this.#form.elements.namedItem("scope"))[1]);
    radio.checked = true;
    this.#stale();
    location.hash = "#/edits";
    byId("edit-find").focus();
  }

  #scopes() {
    const { size } = this.#selection;
    const [shown, selected] = /** @type {RadioNodeList} */ (this.#form.elements.namedItem("scope"));
    byId("edit-scope-shown").textContent = `all ${plural(this.#listing.total, "image")} that the gallery shows`;
    byId("edit-scope-selected").textContent = size ? this.#sight.words() : "no image is selected";
    selected.disabled = !size;
    if (!size && selected.checked) {
      shown.checked = true;
      this.#stale();
    }
  }

  async #look() {
    this.#wrong("");
    const data = new FormData(this.#form);
    /** @type {Record<string, any>} */
    const wanted = {};
    for (const name of ["find", "with", "trigger_word", "prefix", "suffix"]) wanted[name] = data.get(name) ?? "";
    for (const name of ["ignore_case", "whole_words", "regex"]) wanted[name] = data.has(name);
    if (data.get("scope") === "selected") wanted.images = this.#selection.ids;
    else wanted.list = this.#listing.id;
    this.#form.setAttribute("aria-busy", "true");
    try {
      this.#show(await send("POST", "/api/edits/previews", wanted));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#wrong([error.message, error.hint].filter(Boolean).join(" "));
    } finally {
      this.#form.removeAttribute("aria-busy");
    }
  }

  /** @param {Preview} preview */
  #show(preview) {
    this.#preview = preview;
    this.#list.replaceChildren(...preview.changes.map(row));
    const { total } = preview;
    byId("changes-summary").textContent = total ? `${plural(total, "caption")} would change: ${preview.words}` : "No caption would change.";
    byId("changes-empty").hidden = total > 0;
    this.#make.hidden = total === 0;
    this.#make.textContent = `Change ${plural(total, "caption")}`;
    const kept = byId("changes-kept");
    kept.hidden = false;
    kept.textContent = told(preview).trim();
    byId("changes-list").scrollTo(0, 0);
  }

  async #more() {
    const preview = this.#preview;
    if (!preview || this.#fetching || this.#list.children.length >= preview.total) return;
    this.#fetching = true;
    try {
      const next = await get(`/api/edits/previews/${preview.preview}`, { offset: this.#list.children.length, limit: 200 });
      if (preview === this.#preview) this.#list.append(...next.changes.map(row));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 404) this.#stale();
    } finally {
      this.#fetching = false;
    }
  }

  async #change() {
    const preview = this.#preview;
    if (!preview) return;
    this.#make.disabled = true;
    try {
      const made = await send("POST", "/api/edits", { preview: preview.preview });
      this.#clear(`${plural(made.changed, "caption")} changed.`);
      const undo = { action: "Undo", onAction: () => this.#undo(made.edit) };
      const early = made.stopped ? "Stopped: " : "";
      notice(`${early}${plural(made.changed, "caption")} changed.${told(made)}`, { trouble: told(made) !== "", ...(made.edit === null ? {} : undo) });
      await this.load();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#wrong([error.message, error.hint].filter(Boolean).join(" "));
    } finally {
      this.#make.disabled = false;
    }
  }

  /** Undoes an edit. @param {number} edit */
  async #undo(edit) {
    try {
      const back = await send("POST", `/api/edits/${edit}/undo`);
      notice(`${plural(back.changed, "caption")} put back.${told(back)}`, { trouble: told(back) !== "" });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      notice(error.message, { trouble: true });
    }
    this.#stale();
    await this.load();
  }

  /** @param {Past} past */
  #past(past) {
    const about = `${plural(past.captions, "caption")}${outOfSight(past.unseen)} · ${when(past.created_ms)}`;
    const box = el("li", { class: "version" }, el("p", { class: "text" }, past.words), el("p", { class: "small" }, about));
    if (past.undone_ms) box.append(el("p", { class: "tag" }, "undone"));
    else {
      const undo = el("button", { type: "button", class: "quiet", "aria-label": `Undo: ${past.words}` }, "Undo");
      undo.addEventListener("click", () => this.#undo(past.edit));
      box.append(undo);
    }
    return box;
  }

  /** What was shown is no longer what is asked for. */
  #stale() {
    if (this.#preview) this.#clear("Look at the changes again: the edit is another one now.");
  }

  /** @param {string} words */
  #clear(words) {
    this.#preview = null;
    this.#list.replaceChildren();
    this.#make.hidden = true;
    byId("changes-kept").hidden = true;
    byId("changes-empty").hidden = false;
    byId("changes-summary").textContent = words;
  }

  /** @param {string} words */
  #wrong(words) {
    const line = byId("edit-wrong");
    line.hidden = !words;
    line.textContent = words;
  }
}

/** @param {Work} work */
function working({ id, words, total }) {
  const stop = /** @type {HTMLButtonElement} */ (el("button", { type: "button", class: "quiet", "aria-label": `Stop: ${words}` }, "Stop"));
  stop.addEventListener("click", () => {
    stop.disabled = true;
    send("DELETE", `/api/edits/under-way/${id}`).catch(() => {}); // it may be over by now
  });
  return el("div", { class: "version", "data-work": id }, el("progress", { max: total, "aria-label": words }), el("p", { class: "small" }), stop);
}

/** Returns sentences that follow another one. @param {Result} result */
function told({ kept, kept_total, unsafe = [], unsafe_total = 0 }) {
  return sentence("Kept as it is", kept, kept_total) + sentence("Changed, but a power cut may undo it", unsafe, unsafe_total);
}

/** @param {string} what @param {string[]} named @param {number} total */
function sentence(what, named, total) {
  if (!total) return "";
  const more = total > named.length ? ` and ${count(total - named.length)} more` : "";
  return ` ${what}: ${named.join("; ")}${more}.`;
}

const TAGS = { same: "span", gone: "del", new: "ins" };

/** @param {Change} change */
function row(change) {
  const text = difference(change.old, change.new).map((piece) => el(TAGS[piece.kind], {}, piece.text));
  const picture = el("img", { src: `/images/${change.id}/small`, alt: "", loading: "lazy", decoding: "async" });
  return el("li", { class: "change" }, picture, el("div", {}, el("p", { class: "small" }, change.name), el("p", { class: "text" }, ...text)));
}
