// The editor: one image, its caption and everything earlier.
//
// What is typed lies in a draft from the first key on. Saving says which caption it began from; if
// another one is there by then, both texts are shown and nothing is overwritten.

import { get, picture, Refusal, send } from "./api.js";
import { byId, el, plural, settled, size } from "./dom.js";
import { draftOf, dropDraft, keepDraft } from "./drafts.js";
import { showHistory } from "./history.js";
import { CLIP_TOKENS, clipTokens, words } from "./length.js";
import { may } from "./rights.js";

const BY = { hand: "edited by hand", model: "by a model", import: "found in its file" };

/** @typedef {import("./listing.js").Card & {folder: string, sidecar: string, shared_with: string[],
 *   bytes: number, width: number|null, height: number|null,
 *   history: import("./history.js").Earlier[], current: number|null, undoes: boolean}} Image */

/** Where the editor goes from image to image: a listing, or a selection.
 * @typedef {{total: number, card: (index: number) => Promise<{id: string, stamp: string}|null|undefined>}} Row */

export class Editor extends EventTarget {
  /** @type {Image|null} */
  image = null;
  index = 0;
  /** @type {Row} */
  row = { total: 0, card: async () => null };
  #base = "";
  #saving = false;
  /** What came from elsewhere while it was saved. @type {import("./listing.js").Card|null} */
  #meanwhile = null;
  #ticket = 0;
  dialog = /** @type {HTMLDialogElement} */ (byId("editor"));
  text = /** @type {HTMLTextAreaElement} */ (byId("caption"));
  #picture = /** @type {HTMLImageElement} */ (byId("editor-picture"));

  constructor() {
    super();
    this.text.readOnly = !may("edit");
    this.text.addEventListener("input", () => this.#typed());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => this.dispatchEvent(new CustomEvent("close")));
    byId("editor-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.saveAndNext();
    });
    byId("editor-save").addEventListener("click", () => this.save());
    byId("editor-undo").addEventListener("click", () => this.undo());
    byId("editor-caption").addEventListener("click", () => this.#captionAgain());
    byId("editor-previous").addEventListener("click", () => this.go(this.index - 1));
    byId("editor-next").addEventListener("click", () => this.go(this.index + 1));
    byId("editor-close").addEventListener("click", () => this.dialog.close());
    this.#picture.addEventListener("error", () => this.#broken());
  }

  get open() {
    return this.dialog.open;
  }

  get dirty() {
    return this.image !== null && this.text.value !== (this.image.caption ?? "");
  }

  /** Opens the editor on an image of a row. @param {Row} row @param {number} index */
  async show(row, index) {
    this.row = row;
    if (!this.open) this.dialog.showModal();
    await this.go(index);
    this.text.focus();
    this.text.setSelectionRange(this.text.value.length, this.text.value.length);
  }

  /** @param {number} index */
  async go(index) {
    if (index < 0 || index >= this.row.total) return;
    this.index = index;
    const ticket = ++this.#ticket;
    const card = await this.row.card(index);
    if (ticket !== this.#ticket) return;
    this.dispatchEvent(new CustomEvent("go", { detail: index }));
    if (!card) {
      this.#say("This image is gone. Go on to another one.", true);
      return;
    }
    this.#picture.hidden = false;
    byId("editor-broken").hidden = true;
    this.#picture.src = picture(card, "large");
    await this.#load(card.id, ticket);
    this.#prefetch(index + 1);
  }

  /** @param {string} id @param {number} ticket */
  async #load(id, ticket) {
    try {
      const image = await get(`/api/images/${id}`);
      if (ticket === this.#ticket) this.#take(image);
    } catch (error) {
      if (ticket === this.#ticket) this.#refused(error);
    }
  }

  /** Shows an image as captiv has it, and the draft that was begun on it. @param {Image} image */
  #take(image) {
    this.image = image;
    this.#base = image.version;
    this.#fill(image.caption ?? "");
    this.#conflict(null);
    this.#say("");
    this.#tell(image);
    const draft = may("edit") ? draftOf(image.id) : null;
    if (draft === null) return;
    if (draft.text === (image.caption ?? "")) {
      dropDraft(image.id);
      return;
    }
    this.#fill(draft.text);
    this.#base = draft.version;
    if (draft.version !== image.version) this.#conflict(image.caption);
    else this.#say("Your unsaved text is here again.", false, "Discard it", () => this.#discard());
  }

  /** @param {Image} image */
  #tell(image) {
    byId("editor-name").textContent = image.name;
    const where = image.folder ? `${image.folder} · ` : "";
    byId("editor-place").textContent = `${where}${this.index + 1} of ${this.row.total.toLocaleString("en")}`;
    this.#picture.alt = image.caption ?? image.name;
    const by = byId("editor-by");
    by.hidden = !image.by;
    by.textContent = image.by ? BY[image.by] : "";
    by.className = `tag ${image.by ?? ""}`;
    byId("editor-facts").replaceChildren(...facts(image));
    showHistory(byId("editor-history"), image.history, image.current, (text) => this.use(text));
    /** @type {HTMLButtonElement} */ (byId("editor-previous")).disabled = this.index <= 0;
    /** @type {HTMLButtonElement} */ (byId("editor-next")).disabled = this.index >= this.row.total - 1;
    this.#undoable();
  }

  #undoable() {
    const image = this.image;
    const can = image && (this.dirty || image.undoes || first(image));
    /** @type {HTMLButtonElement} */ (byId("editor-undo")).disabled = !can;
  }

  /** Puts a text into the editor, as if it had been typed. @param {string} text */
  use(text) {
    this.#fill(text);
    this.#typed();
    this.text.focus();
  }

  #typed() {
    this.#measure();
    if (!this.image) return;
    this.#undoable();
    if (this.dirty) {
      const kept = keepDraft(this.image.id, this.text.value, this.#base);
      this.#say(kept ? "Not saved yet; kept in this browser." : "Not saved yet.");
    } else {
      dropDraft(this.image.id);
      this.#say("");
    }
  }

  #discard() {
    if (!this.image) return;
    dropDraft(this.image.id);
    this.#take(this.image);
    this.text.focus();
  }

  // -- saving --------------------------------------------------------------------------------------

  async saveAndNext() {
    if (this.dirty && !(await this.save())) return;
    if (this.index + 1 < this.row.total) await this.go(this.index + 1);
    else this.#say("Saved. This was the last image.");
    this.text.focus();
  }

  /** Saves what is typed; returns whether it is saved. */
  async save() {
    if (!this.image) return false;
    if (!this.dirty) {
      this.#say("Nothing to save: the caption is as it was.");
      return true;
    }
    const text = this.text.value.trim() ? this.text.value : null;
    const done = await this.#write("PUT", "caption", { text, version: this.#base });
    if (done) this.#say(text === null ? "Caption removed; its text is kept below." : "Saved.");
    return done;
  }

  /** Brings back the caption before this one. */
  async undo() {
    if (!this.image) return;
    if (this.dirty) {
      const typed = this.text.value;
      this.#discard();
      this.#say("What was typed is gone.", false, "Bring it back", () => this.use(typed));
      return;
    }
    const { version, undoes } = this.image;
    if (!undoes && !first(this.image)) return;
    const done = undoes
      ? await this.#write("POST", "undo", { version })
      : await this.#write("PUT", "caption", { text: null, version });
    if (done) this.#say(undoes ? "Undone: this is the caption from before." : "Undone: there is no caption, as before.");
  }

  /** Has a model write the caption: not over what is typed and not saved. */
  #captionAgain() {
    if (this.dirty) this.#say("Save your text or undo it first: a new caption would stand against it.", true);
    else this.dispatchEvent(new CustomEvent("caption"));
  }

  /** @param {string} method @param {string} what @param {any} body */
  async #write(method, what, body) {
    const image = this.image;
    if (!image || this.#saving) return false;
    this.#saving = true;
    this.#meanwhile = null;
    this.dialog.classList.add("saving");
    try {
      const now = await send(method, `/api/images/${image.id}/${what}`, body);
      dropDraft(image.id);
      if (this.image?.id === image.id) this.#take(now);
      this.dispatchEvent(new CustomEvent("saved", { detail: now }));
      return true;
    } catch (error) {
      this.#refused(error);
      return false;
    } finally {
      this.#saving = false;
      this.dialog.classList.remove("saving");
      if (this.#meanwhile) this.changed(this.#meanwhile);
    }
  }

  /** @param {unknown} error */
  #refused(error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "caption_changed") {
      if (this.image) this.image = { ...this.image, caption: error.problem.text, version: error.problem.version };
      if (this.dirty) this.#conflict(error.problem.text);
      else this.#same();
    } else if (error.lost) {
      this.#say("Not saved: captiv cannot be reached. Your text is kept in this browser.", true);
    } else this.#say(`${error.message} ${error.hint}`, true);
  }

  // -- what others do ------------------------------------------------------------------------------

  /** Takes in an image that changed elsewhere; while it is saved, afterwards: the answer may be lost. @param {import("./listing.js").Card} card */
  async changed(card) {
    const image = this.image;
    if (!this.open || !image || card.id !== image.id || card.version === image.version) return;
    if (this.#saving) {
      this.#meanwhile = card;
      return;
    }
    const dirty = this.dirty;
    const ticket = this.#ticket;
    const now = await get(`/api/images/${card.id}`).catch(() => null);
    if (!now || ticket !== this.#ticket || now.version === this.image?.version) return;
    if (this.#saving) {
      this.#meanwhile = card;
      return;
    }
    if (!dirty) {
      this.#take(now);
      this.#say("This caption was just changed elsewhere; this is how it is now.");
      return;
    }
    this.image = now;
    this.#tell(now);
    if (this.dirty) this.#conflict(now.caption);
    else this.#same();
  }

  /** What is typed is what is there: it was saved, and the answer was lost, or by somebody else. */
  #same() {
    if (!this.image) return;
    dropDraft(this.image.id);
    this.#base = this.image.version;
    this.#conflict(null);
    this.#say("Saved.");
  }

  /** Looks at the image again, after the connection was lost. */
  async again() {
    const image = this.image;
    if (!this.open || !image) return;
    const now = await get(`/api/images/${image.id}`).catch(() => null);
    if (!now || this.image?.id !== image.id) return;
    if (now.version !== image.version) await this.changed(now);
    else if (this.dirty) this.#say("captiv is back. Your text is not saved yet.");
  }

  /** Shows both texts. @param {string|null|undefined} theirs */
  #conflict(theirs) {
    const box = byId("editor-conflict");
    box.hidden = theirs === undefined || this.image === null || theirs === this.text.value || this.#base === this.image.version;
    if (box.hidden) return box.replaceChildren();
    this.#say("");
    const mine = el("button", { type: "button" }, "Keep mine");
    const other = el("button", { type: "button", class: "quiet" }, "Take this one");
    mine.addEventListener("click", () => {
      this.#base = this.image?.version ?? this.#base;
      this.save();
    });
    other.addEventListener("click", () => this.#discard());
    box.replaceChildren(
      el("p", {}, el("b", {}, "This caption was changed meanwhile. "), "Yours is above and not saved; now there is:"),
      el("blockquote", {}, theirs ?? "No caption: it was removed."),
      el("div", { class: "buttons" }, mine, other),
    );
  }

  // -- small things --------------------------------------------------------------------------------

  /** @param {string} text */
  #fill(text) {
    this.text.value = text;
    this.#measure();
  }

  #measure = settled(() => {
    const n = clipTokens(this.text.value);
    const line = byId("caption-length");
    line.textContent = `${plural(words(this.text.value), "word")} · about ${plural(n, "token")} of CLIP's ${CLIP_TOKENS} (estimated)`;
    line.classList.toggle("over", n > CLIP_TOKENS);
  }, 60);

  /**
   * @param {string} said @param {boolean} [trouble] @param {string} [action] @param {() => void} [onAction]
   */
  #say(said, trouble = false, action = "", onAction = undefined) {
    const line = byId("editor-status");
    line.classList.toggle("trouble", trouble);
    line.replaceChildren(said);
    if (!action) return;
    const button = el("button", { type: "button", class: "link" }, action);
    button.addEventListener("click", () => onAction?.());
    line.append(" ", button);
  }

  async #broken() {
    const source = this.#picture.getAttribute("src");
    if (!source) return;
    this.#picture.hidden = true;
    const caption = byId("editor-broken");
    caption.hidden = false;
    const answer = await fetch(source).then((r) => r.json()).catch(() => null);
    caption.textContent = answer?.detail ? `This picture cannot be shown: ${answer.detail}.` : "This picture cannot be shown.";
  }

  /** @param {number} index */
  async #prefetch(index) {
    if (index >= this.row.total) return;
    const card = await this.row.card(index);
    if (card) new Image().src = picture(card, "large");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const command = event.ctrlKey || event.metaKey;
    if (may("edit") && command && event.key === "Enter") this.saveAndNext();
    else if (may("edit") && command && event.key.toLowerCase() === "s") this.save();
    else if (may("own") && event.altKey && event.key.toLowerCase() === "r") this.#captionAgain();
    else if (event.altKey && event.key === "ArrowRight") this.go(this.index + 1);
    else if (event.altKey && event.key === "ArrowLeft") this.go(this.index - 1);
    else return;
    event.preventDefault();
  }
}

/** Whether this is the first caption that a person gave the image: undone, there is none. @param {Image} image */
const first = (image) => image.by === "hand" && image.caption !== null && image.history.length === 1;

/** @param {Image} image */
function facts(image) {
  const rows = [];
  if (image.width) rows.push(["Size", `${image.width} × ${image.height} px, ${size(image.bytes)}`]);
  rows.push(["Caption's file", image.sidecar]);
  if (image.shared_with.length) {
    rows.push(["Shared", `${image.sidecar} belongs to ${image.shared_with.join(", ")} as well: a change here changes it there.`]);
  }
  if (image.failure) rows.push(["Last attempt", image.failure]);
  if (image.trouble) rows.push(["Trouble", image.trouble]);
  return rows.flatMap(([term, words_]) => [el("dt", {}, term), el("dd", {}, words_)]);
}
