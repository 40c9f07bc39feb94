// The grid of images: only the cells on the screen exist, whatever the total.
//
// A list box for assistive technology: one tab stop, the arrow keys move the active image. Cells are
// used again as the grid scrolls. A browser draws no element higher than some 16 million px, so beyond
// that the scroll position is scaled.

import { picture } from "./api.js";
import { count, el } from "./dom.js";
import { PAGE } from "./listing.js";

const HIGHEST_PX = 15_000_000;
const GAP_PX = 14;
const EDGE_PX = 18;
const SPARE_ROWS = 2;

/** @typedef {import("./listing.js").Card} Card */

export class Gallery extends EventTarget {
  active = 0;
  #anchor = 0;
  #ranges = 0;
  #columns = 1;
  #cell = 200;
  #row = 280;
  /** @type {Map<number, Cell>} */
  #cells = new Map();
  /** @type {Cell[]} */
  #spare = [];
  #drawn = 0;

  /**
   * @param {HTMLElement} box
   * @param {import("./listing.js").Listing} listing
   * @param {import("./selection.js").Selection} selection
   * @param {import("./drafts.js").Drafts} drafts
   */
  constructor(box, listing, selection, drafts) {
    super();
    this.drafts = drafts;
    this.box = box;
    this.listing = listing;
    this.selection = selection;
    this.space = /** @type {HTMLElement} */ (box.firstElementChild);
    box.addEventListener("scroll", () => this.#soon(), { passive: true });
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#measure()).observe(box);
    listing.addEventListener("change", () => this.draw());
    selection.addEventListener("change", () => this.draw());
    drafts.addEventListener("change", () => this.#soon());
  }

  /** Shows a listing from its beginning. */
  reset() {
    this.active = 0;
    this.#anchor = 0;
    this.#measure();
    this.box.scrollTop = 0;
    this.draw();
  }

  /** Shows a listing anew where the person was; the active image is there now. @param {number} index */
  keep(index) {
    const before = this.active;
    const seen = this.#cells.has(before);
    this.active = this.#within(index);
    this.#anchor = this.#within(this.#anchor + this.active - before);
    this.#measure();
    if (seen && this.active !== before) this.reveal(this.active);
    this.draw();
  }

  /** The pages of the listing that are on the screen. */
  get pages() {
    return [...new Set([...this.#cells.keys()].map((index) => Math.floor(index / PAGE)))];
  }

  /** @param {number} index */
  #within(index) {
    return Math.max(0, Math.min(index, this.listing.total - 1));
  }

  /** Makes an image the active one and scrolls it into view. @param {number} index */
  move(index) {
    if (!this.listing.total) return;
    this.active = this.#within(index);
    this.reveal(this.active);
    this.draw();
  }

  /** Selects nothing any more. */
  clear() {
    this.#ranges += 1;
    this.selection.clear();
  }

  /** @param {number} index */
  reveal(index) {
    const top = EDGE_PX + Math.floor(index / this.#columns) * this.#row;
    const bottom = top + this.#row;
    const view = this.box.clientHeight;
    const at = this.#virtualTop();
    if (top - EDGE_PX < at) this.#scrollTo(top - EDGE_PX);
    else if (bottom > at + view) this.#scrollTo(Math.min(bottom - view, top - EDGE_PX));
  }

  draw() {
    const { total } = this.listing;
    const at = this.#virtualTop();
    const shift = this.box.scrollTop - at;
    const top = Math.floor((at - EDGE_PX) / this.#row);
    const bottom = Math.ceil((at + this.box.clientHeight - EDGE_PX) / this.#row);
    const first = Math.max(0, top - SPARE_ROWS) * this.#columns;
    const end = Math.min(total, (bottom + SPARE_ROWS) * this.#columns);
    for (const [index, cell] of this.#cells) {
      if (index < first || index >= end) {
        this.#cells.delete(index);
        cell.rest();
        this.#spare.push(cell);
      }
    }
    const unsaved = new Set(this.drafts.ids);
    for (let index = first; index < end; index += 1) {
      let cell = this.#cells.get(index);
      if (!cell) {
        cell = this.#spare.pop() ?? new Cell(this.space);
        this.#cells.set(index, cell);
      }
      const x = EDGE_PX + (index % this.#columns) * (this.#cell + GAP_PX);
      const y = EDGE_PX + Math.floor(index / this.#columns) * this.#row + shift;
      cell.place(index, total, x, y, this.#cell, this.#row - GAP_PX);
      const card = this.listing.at(index);
      cell.show(card, index === this.active, !!card && this.selection.has(card.id), !!card && unsaved.has(card.id));
    }
    if (total && this.#cells.has(this.active)) this.box.setAttribute("aria-activedescendant", `image-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  #soon() {
    if (this.#drawn) return;
    this.#drawn = requestAnimationFrame(() => {
      this.#drawn = 0;
      this.draw();
    });
  }

  #measure() {
    const width = this.box.clientWidth - 2 * EDGE_PX;
    if (width <= 0) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const least = width < 30 * rem ? 9 * rem : 12 * rem;
    const columns = Math.max(width < 14 * rem ? 1 : 2, Math.floor((width + GAP_PX) / (least + GAP_PX)));
    const seen = this.#cells.has(this.active);
    const before = `${this.#columns} ${this.#row}`;
    this.#columns = columns;
    this.#cell = Math.floor((width + GAP_PX) / columns) - GAP_PX;
    this.#row = this.#cell + Math.ceil(4.7 * rem) + GAP_PX;
    this.space.style.height = `${Math.min(this.#height(), HIGHEST_PX)}px`;
    if (seen && this.active && before !== `${this.#columns} ${this.#row}`) this.reveal(this.active);
    this.draw();
  }

  #height() {
    const rows = Math.ceil(this.listing.total / this.#columns);
    return rows ? 2 * EDGE_PX + rows * this.#row - GAP_PX : 0;
  }

  /** How far the whole height is scrolled, were it drawn at full height. */
  #virtualTop() {
    return this.box.scrollTop * this.#scale();
  }

  #scale() {
    const height = this.#height();
    const view = this.box.clientHeight;
    return height > HIGHEST_PX ? (height - view) / (HIGHEST_PX - view) : 1;
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.box.scrollTop = top / this.#scale();
  }

  // -- keyboard and mouse ------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.altKey) return;
    const steps = this.#steps(event.key);
    if (steps !== undefined) {
      event.preventDefault();
      this.#step(steps, event.shiftKey);
      return;
    }
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && !command) this.#open();
    else if (event.key === " ") this.#toggle(this.active);
    else if (event.key === "a" && command) this.#range(0, this.listing.total - 1, true);
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
  }

  /** @param {string} key @returns {number|undefined} */
  #steps(key) {
    const screen = this.#columns * Math.max(1, Math.floor(this.box.clientHeight / this.#row));
    switch (key) {
      case "ArrowRight": return 1;
      case "ArrowLeft": return -1;
      case "ArrowDown": return this.#columns;
      case "ArrowUp": return -this.#columns;
      case "PageDown": return screen;
      case "PageUp": return -screen;
      case "Home": return -this.active;
      case "End": return this.listing.total - 1 - this.active;
      default: return undefined;
    }
  }

  /** @param {number} steps @param {boolean} extend */
  #step(steps, extend) {
    const last = this.listing.total - 1;
    let to = this.active + steps;
    if (Math.abs(steps) === this.#columns && (to < 0 || to > last)) {
      // Down from the row above a short last row goes to its end; up from the first row stays.
      const rows = Math.floor(last / this.#columns) - Math.floor(this.active / this.#columns);
      to = to > last && rows > 0 ? last : this.active;
    }
    this.move(to);
    if (extend) this.#range(this.#anchor, this.active, true);
    else this.#anchor = this.active;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const cell = target.closest("[role=option]");
    if (!cell) return;
    const index = Number(/** @type {HTMLElement} */ (cell).dataset.index);
    if (event.shiftKey) {
      this.move(index);
      this.#range(this.#anchor, index, true);
      return;
    }
    this.#anchor = index;
    this.move(index);
    if (event.ctrlKey || event.metaKey || target.closest(".pick")) this.#toggle(index);
    else this.#open();
  }

  /** @param {number} index */
  async #toggle(index) {
    this.#ranges += 1;
    this.#anchor = index;
    const card = await this.listing.get(index);
    if (card) this.selection.toggle(card.id);
  }

  /** @param {number} from @param {number} to @param {boolean} only */
  async #range(from, to, only) {
    const [low, high] = from < to ? [from, to] : [to, from];
    const ticket = ++this.#ranges;
    const ids = await this.listing.ids(low, high + 1);
    if (ticket !== this.#ranges) return; // an answer to an older wish, overtaken by a newer one
    if (only) this.selection.set(ids);
    else this.selection.add(ids);
  }

  #open() {
    if (this.listing.total) this.dispatchEvent(new CustomEvent("open", { detail: this.active }));
  }
}

/** One image on the screen. */
class Cell {
  /** @param {HTMLElement} space */
  constructor(space) {
    this.picture = /** @type {HTMLImageElement} */ (el("img", { alt: "", decoding: "async", draggable: false }));
    this.caption = el("p", { class: "caption" });
    this.name = el("p", { class: "name" });
    this.marks = el("p", { class: "marks" });
    const frame = el("div", { class: "frame" }, this.picture, el("span", { class: "pick", "aria-hidden": "true" }));
    this.box = el("div", { class: "card", role: "option" }, frame, this.caption, this.name, this.marks);
    this.picture.addEventListener("load", () => this.picture.classList.add("there"));
    this.picture.addEventListener("error", () => this.box.classList.add("broken"));
    this.shown = "";
    this.source = "";
    space.append(this.box);
  }

  /**
   * @param {number} index @param {number} total @param {number} x @param {number} y
   * @param {number} width @param {number} height
   */
  place(index, total, x, y, width, height) {
    const { box } = this;
    box.hidden = false;
    box.id = `image-${index}`;
    box.dataset.index = String(index);
    box.setAttribute("aria-setsize", String(total));
    box.setAttribute("aria-posinset", String(index + 1));
    box.style.transform = `translate(${x}px, ${y}px)`;
    box.style.width = `${width}px`;
    box.style.height = `${height}px`;
  }

  /** @param {Card|null|undefined} card @param {boolean} active @param {boolean} selected @param {boolean} unsaved */
  show(card, active, selected, unsaved) {
    this.box.classList.toggle("active", active);
    this.box.setAttribute("aria-selected", String(selected));
    const key = card ? `${card.id} ${card.stamp} ${card.version} ${card.by} ${card.failure} ${unsaved}` : String(card);
    if (key === this.shown) return;
    this.shown = key;
    if (!card) {
      this.#picture("");
      this.box.classList.toggle("coming", card === undefined);
      this.caption.textContent = card === null ? "This image is gone." : "";
      this.name.textContent = "";
      this.marks.replaceChildren();
      return;
    }
    this.box.classList.remove("coming");
    this.#picture(picture(card, "small"));
    this.box.classList.toggle("without", card.caption === null || !card.caption.trim());
    this.caption.textContent = card.caption?.trim() || card.trouble || "No caption yet";
    this.name.textContent = card.name;
    this.name.title = card.name;
    this.marks.replaceChildren(...marks(card, unsaved));
  }

  rest() {
    this.box.hidden = true;
    this.shown = "";
    this.#picture("");
  }

  /** @param {string} source */
  #picture(source) {
    if (source === this.source) return;
    this.source = source;
    this.box.classList.remove("broken");
    this.picture.classList.remove("there");
    if (source) this.picture.src = source;
    else this.picture.removeAttribute("src");
  }
}

/** @param {Card} card @param {boolean} unsaved */
function marks(card, unsaved) {
  const found = [];
  if (unsaved) found.push(el("span", { class: "tag unsaved", title: "Your text for this image is not saved; this browser keeps it." }, "not saved"));
  if (card.by === "hand") found.push(el("span", { class: "tag hand" }, "by hand"));
  if (card.failure) found.push(el("span", { class: "tag failed", title: card.failure }, "failed"));
  return found;
}

/** @param {number} shown @param {number} all */
export const ofAll = (shown, all) => (shown === all ? count(all) : `${count(shown)} of ${count(all)}`);
