// The editor: one image, its caption and everything earlier.
//
// It holds no caption. Keys, clicks and captiv's answers are events; `editing/reduce.js` says what
// becomes of them, `editorview.js` draws it, and what is to be done about it (load, save, keep) is done here.

import { get, picture, Refusal, send } from "./api.js";
import { atRisk, empty, rowsInUse } from "./editing/state.js";
import { reduce } from "./editing/reduce.js";
import { IMAGE_GONE } from "./editing/words.js";
import { EditorView } from "./editorview.js";
import { byId } from "./dom.js";
import { notice } from "./notices.js";
import { may } from "./rights.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;

/**
 * @typedef {import("./editing/state.js").Effect} Effect
 * @typedef {import("./editing/state.js").Event} EditorEvent
 * @typedef {import("./editing/state.js").Failure} Failure
 * @typedef {import("./editing/state.js").Place} Place
 */

/** Where the editor goes from image to image: a listing, or a selection. An image that is gone is null.
 * @typedef {{total: number, card: (index: number) => Promise<Place|null>}} Row */

/** Dispatches "go" with a place, "saved" and "caption" with an image, and "close". */
export class Editor extends EventTarget {
  #state = empty(may("edit"));
  /** The row of each opening, while something may be looked for in it. @type {Map<number, Row>} */
  #rows = new Map();
  #openings = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = 0;
  #view = new EditorView((event) => this.#feed(event));
  #drafts;

  /** @param {import("./drafts.js").Drafts} drafts */
  constructor(drafts) {
    super();
    this.#drafts = drafts;
    this.#listen();
    addEventListener("online", () => this.again());
    addEventListener("beforeunload", (event) => {
      if (atRisk(this.#state)) event.preventDefault();
    });
  }

  get open() {
    return this.#view.dialog.open;
  }

  /** Opens the editor on an image of a row. @param {Row} row @param {number} index */
  show(row, index) {
    this.#openings += 1;
    this.#rows.set(this.#openings, row);
    if (!this.open) this.#view.dialog.showModal();
    this.#feed({ type: "opened", row: this.#openings, total: row.total, index });
  }

  /** Takes in a card that changed, here or elsewhere. @param {import("./listing.js").Card} card */
  changed(card) {
    this.#feed({ type: "changed", card });
  }

  /** Looks at everything again, as more changed than is told card by card. */
  changedMore() {
    this.#feed({ type: "changed more" });
  }

  /** Looks at everything again, after captiv could not tell what changed. */
  again() {
    this.#feed({ type: "again" });
  }

  #listen() {
    const { dialog, field } = this.#view;
    field.addEventListener("input", () => this.#feed({ type: "typed", text: field.value }));
    field.addEventListener("compositionstart", () => this.#feed({ type: "composing" }));
    field.addEventListener("compositionend", () => this.#feed({ type: "composed", text: field.value }));
    dialog.addEventListener("keydown", (event) => this.#key(event));
    dialog.addEventListener("close", () => {
      this.#feed({ type: "closed" });
      this.dispatchEvent(new CustomEvent("close"));
    });
    byId("editor-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#feed({ type: "next" });
    });
    byId("editor-save").addEventListener("click", () => this.#feed({ type: "save" }));
    byId("editor-undo").addEventListener("click", () => this.#feed({ type: "undo" }));
    byId("editor-caption").addEventListener("click", () => this.#feed({ type: "caption" }));
    byId("editor-previous").addEventListener("click", () => this.#step(-1));
    byId("editor-next").addEventListener("click", () => this.#step(1));
    byId("editor-close").addEventListener("click", () => dialog.close());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return; // it is the input method's
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "a" && event.target === this.#view.field) return this.#feed({ type: "selected all" });
    if (may("edit") && command && key === "enter") this.#feed({ type: "next" });
    else if (may("edit") && command && key === "s") this.#feed({ type: "save" });
    else if (may("own") && event.altKey && key === "r") this.#feed({ type: "caption" });
    else if (event.altKey && key === "arrowright") this.#step(1);
    else if (event.altKey && key === "arrowleft") this.#step(-1);
    else return;
    event.preventDefault();
  }

  /** @param {number} steps */
  #step(steps) {
    this.#feed({ type: "moved", index: this.#state.index + steps });
  }

  /** @param {EditorEvent} event */
  #feed(event) {
    const { state, effects } = reduce(this.#state, event);
    this.#state = state;
    this.#view.draw(state);
    if (event.type === "typed") this.#view.measure();
    for (const effect of effects) this.#do(effect);
    if (event.type === "opened") this.#letGo();
  }

  /** Forgets rows of earlier openings: a tab may be open for weeks. */
  #letGo() {
    const used = rowsInUse(this.#state);
    for (const row of this.#rows.keys()) if (!used.has(row)) this.#rows.delete(row);
  }

  // -- what is to be done ------------------------------------------------------------------------------

  /** @param {Effect} effect */
  #do(effect) {
    switch (effect.do) {
      case "find": return void this.#find(effect);
      case "load": return void this.#load(effect);
      case "save": return void this.#write(effect, "PUT", "caption", { text: effect.text, version: effect.version });
      case "undo": return void this.#write(effect, "POST", "undo", { version: effect.version });
      case "keep":
        if (!this.#drafts.keep(effect.id, effect.draft, effect.found)) this.#feed({ type: "not kept", id: effect.id });
        return;
      case "drop": return this.#drafts.drop(effect.id, effect.found);
      case "prefetch": return void (new Image().src = picture(effect.place, "large"));
      case "focus": return this.#view.field.focus();
      case "select": return this.#view.field.select();
      case "tell": return notice(effect.words, { trouble: true });
      case "tell went": return void this.dispatchEvent(new CustomEvent("go", { detail: effect.index }));
      case "tell saved": return void this.dispatchEvent(new CustomEvent("saved", { detail: effect.image }));
      case "tell caption": return void this.dispatchEvent(new CustomEvent("caption", { detail: effect.image }));
    }
  }

  /** @param {{row: number, index: number}} effect */
  async #find({ row, index }) {
    try {
      const place = await /** @type {Row} */ (this.#rows.get(row)).card(index);
      const draft = place && (await this.#drafts.left(place.id));
      this.#feed({ type: "found", row, index, place, draft });
    } catch (error) {
      this.#feed({ type: "not found", row, index, failure: this.#failure(error) });
    }
  }

  /** @param {{id: string, ticket: number}} effect */
  async #load({ id, ticket }) {
    try {
      const image = await get(`/api/images/${id}`);
      this.#reached();
      this.#feed({ type: "loaded", id, ticket, image });
    } catch (error) {
      this.#feed({ type: "not loaded", id, ticket, failure: this.#failure(error) });
    }
  }

  /** @param {{id: string, ticket: number}} effect @param {string} method @param {string} what @param {any} body */
  async #write({ id, ticket }, method, what, body) {
    try {
      const image = await send(method, `/api/images/${id}/${what}`, body);
      this.#reached();
      this.#feed({ type: "saved", id, ticket, image });
    } catch (error) {
      if (error instanceof Refusal && error.code === "caption_changed") {
        this.#feed({ type: "refused", id, ticket, text: error.problem.text, version: error.problem.version });
      } else this.#feed({ type: "not saved", id, ticket, failure: this.#failure(error) });
    }
  }

  /** @param {unknown} error @returns {Failure} */
  #failure(error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.lost) this.#later();
    if (error.code === "gone") return { words: IMAGE_GONE, lost: false, gone: true };
    return { words: `${error.message} ${error.hint}`.trim(), lost: error.lost };
  }

  /** Tries again what did not reach captiv, once it is there. */
  #later() {
    if (this.#timer) return;
    this.#timer = setTimeout(async () => {
      this.#timer = 0;
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
      const there = await get("/api/folders").then(() => true, (error) => !(error instanceof Refusal && error.lost));
      if (there) this.again();
      else this.#later();
    }, this.#pauseMs);
  }

  #reached() {
    this.#pauseMs = FIRST_PAUSE_MS;
  }
}
