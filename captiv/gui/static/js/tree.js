// The folder tree: one tab stop, moved through with the arrow keys.

import { get } from "./api.js";
import { count, el } from "./dom.js";

const ALL_OPEN_UP_TO = 60;

/** @typedef {{id: string, name: string, depth: number, images: number, captioned: number}} Folder */

export class Tree extends EventTarget {
  /** @type {Folder[]} */
  folders = [];
  chosen = "";
  #focused = "";
  /** @type {Set<string>} */
  #closed = new Set();
  #known = false;

  /** @param {HTMLElement} list */
  constructor(list) {
    super();
    this.list = list;
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("click", (event) => this.#click(event));
  }

  /** The folder that is chosen. */
  get folder() {
    return this.folders.find((folder) => folder.id === this.chosen);
  }

  async load() {
    const found = await get("/api/folders");
    this.folders = found.folders;
    if (!this.#known && this.folders.length > ALL_OPEN_UP_TO) {
      this.folders.filter((f, at) => f.depth && this.#parent(at)).forEach((f) => this.#closed.add(f.id));
    }
    this.#known = this.folders.length > 1;
    if (!this.folder) this.chosen = this.folders[0]?.id ?? "";
    this.draw();
  }

  draw() {
    const focus = document.activeElement instanceof HTMLElement && this.list.contains(document.activeElement);
    const shown = this.#shown();
    if (!shown.some((at) => this.folders[at].id === this.#focused)) this.#focused = this.chosen;
    this.list.replaceChildren(...shown.map((at) => this.#item(at)));
    if (focus) this.#element(this.#focused)?.focus();
  }

  /** @param {number} at */
  #item(at) {
    const folder = this.folders[at];
    const below = this.#sum(at);
    const parent = this.#parent(at);
    const open = !this.#closed.has(folder.id);
    const done = below.images ? below.captioned / below.images : 0;
    const bar = el("progress", { max: 1, value: done, "aria-hidden": "true" });
    const words = `${folder.name}, ${count(below.images)} images, ${count(below.captioned)} with a caption`;
    const item = el(
      "li",
      {
        role: "treeitem",
        class: parent ? "parent" : "leaf",
        tabIndex: folder.id === this.#focused ? 0 : -1,
        "aria-level": folder.depth + 1,
        "aria-selected": String(folder.id === this.chosen),
        "aria-expanded": parent ? String(open) : undefined,
        "aria-label": words,
        "data-id": folder.id,
        title: folder.name,
      },
      el("span", { class: "twist", "aria-hidden": "true" }),
      el("span", { class: "folder-name" }, folder.name),
      el("span", { class: "number" }, count(below.images)),
      bar,
    );
    item.style.setProperty("--depth", String(folder.depth));
    return item;
  }

  /** Places of the folders that are shown: none below a closed one. */
  #shown() {
    const shown = [];
    let hiddenBelow = Infinity;
    for (const [at, folder] of this.folders.entries()) {
      if (folder.depth > hiddenBelow) continue;
      hiddenBelow = this.#closed.has(folder.id) ? folder.depth : Infinity;
      shown.push(at);
    }
    return shown;
  }

  /** @param {number} at */
  #parent(at) {
    return (this.folders[at + 1]?.depth ?? 0) > this.folders[at].depth;
  }

  /** What is in a folder and below it. @param {number} at */
  #sum(at) {
    const { depth } = this.folders[at];
    let { images, captioned } = this.folders[at];
    for (let next = at + 1; next < this.folders.length && this.folders[next].depth > depth; next += 1) {
      images += this.folders[next].images;
      captioned += this.folders[next].captioned;
    }
    return { images, captioned };
  }

  /** @param {string} id @returns {HTMLElement|null} */
  #element(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** @param {string} id */
  #focus(id) {
    this.#focused = id;
    for (const item of this.list.children) /** @type {HTMLElement} */ (item).tabIndex = -1;
    const item = this.#element(id);
    if (item) {
      item.tabIndex = 0;
      item.focus();
    }
  }

  /** @param {string} id */
  choose(id) {
    this.#focused = id;
    if (id !== this.chosen) {
      this.chosen = id;
      this.draw();
      this.dispatchEvent(new CustomEvent("choose"));
    }
  }

  /** @param {string} id @param {boolean} open */
  #open(id, open) {
    if (open) this.#closed.delete(id);
    else this.#closed.add(id);
    this.draw();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const item = /** @type {HTMLElement|null} */ (target.closest("[role=treeitem]"));
    const id = item?.dataset.id;
    if (!id) return;
    if (target.closest(".twist") && item.hasAttribute("aria-expanded")) this.#open(id, this.#closed.has(id));
    else this.choose(id);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = this.#shown();
    const place = shown.findIndex((at) => this.folders[at].id === this.#focused);
    if (place < 0) return;
    const at = shown[place];
    const { id, depth } = this.folders[at];
    const open = this.#parent(at) && !this.#closed.has(id);
    /** @param {number} to */
    const go = (to) => this.#focus(this.folders[shown[Math.max(0, Math.min(to, shown.length - 1))]].id);
    if (event.key === "ArrowDown") go(place + 1);
    else if (event.key === "ArrowUp") go(place - 1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(shown.length - 1);
    else if (event.key === "Enter" || event.key === " ") this.choose(id);
    else if (event.key === "ArrowRight") {
      if (open) go(place + 1);
      else if (this.#parent(at)) this.#open(id, true);
    } else if (event.key === "ArrowLeft") {
      if (open) this.#open(id, false);
      else go(shown.findLastIndex((other, i) => i < place && this.folders[other].depth < depth));
    } else if (event.key.length === 1) {
      const letter = event.key.toLowerCase();
      const order = [...shown.slice(place + 1), ...shown.slice(0, place + 1)];
      const found = order.find((other) => this.folders[other].name.toLowerCase().startsWith(letter));
      if (found === undefined) return;
      this.#focus(this.folders[found].id);
    } else return;
    event.preventDefault();
  }
}
