// Draws the editor's state. Nobody else writes into its field: only what differs is written, the caret
// stays where it was in the text, and nothing is written while an input method is at work.

import { picture } from "./api.js";
import { byId, el, plural, settled, size } from "./dom.js";
import { fieldOf, inConflict, looseOf, shownPaper, undoable, unsaved } from "./editing/state.js";
import { caretAfter } from "./editing/text.js";
import { showHistory } from "./history.js";
import { CLIP_TOKENS, clipTokens, words } from "./length.js";

/**
 * @typedef {import("./editing/state.js").State} State
 * @typedef {import("./editing/state.js").Paper} Paper
 * @typedef {import("./editing/state.js").Image} Image
 * @typedef {import("./editing/state.js").Note} Note
 * @typedef {import("./editing/state.js").Event} EditorEvent
 */

/** @type {Record<string, string>} */
const BY = { hand: "edited by hand", model: "by a model", import: "found in its file" };
/** @type {Record<string, string>} */
const ACTIONS = { discard: "Discard it", use: "Bring it back", again: "Try again" };
const ADDED = "What you type is added to its end.";

export class EditorView {
  dialog = /** @type {HTMLDialogElement} */ (byId("editor"));
  field = /** @type {HTMLTextAreaElement} */ (byId("caption"));
  #picture = /** @type {HTMLImageElement} */ (byId("editor-picture"));
  /** The place that the field was written for. */
  #place = "";
  #pictured = "";
  /** @type {Image|null|undefined} */
  #told = undefined;
  #opposed = "";
  #noted = "";
  #feed;

  /** @param {(event: EditorEvent) => void} feed */
  constructor(feed) {
    this.#feed = feed;
    this.#picture.addEventListener("error", () => this.#broken());
  }

  /** @param {State} state */
  draw(state) {
    const paper = shownPaper(state);
    this.#write(state, paper);
    this.#frame(state, paper);
    this.#draw(paper);
    this.#tell(paper);
    this.#oppose(paper);
    this.#note(noteOf(state, paper));
    this.dialog.classList.toggle("saving", paper?.saving !== null && paper !== null);
  }

  /** @param {State} state @param {Paper|null} paper */
  #write(state, paper) {
    const { field } = this;
    const place = `${state.row}:${state.index}`;
    const moved = place !== this.#place;
    field.readOnly = !state.may || (state.failure?.gone ?? paper?.failure?.gone ?? false);
    const known = paper !== null && (paper.image !== null || paper.base !== null);
    field.setAttribute("aria-busy", String(!known && !failureOf(state, paper)));
    field.placeholder = known ? "" : placeholder(state, paper);
    const text = fieldOf(state);
    if (state.composing) return;
    this.#place = place;
    if (text === field.value && !moved) return;
    const caret = moved ? text.length : caretAfter(field.value, text, field.selectionStart);
    if (text !== field.value) field.value = text;
    field.setSelectionRange(caret, caret);
    this.measure();
  }

  /** Where one is. @param {State} state @param {Paper|null} paper */
  #frame(state, paper) {
    const { index, total } = state;
    byId("editor-name").textContent = paper?.image?.name ?? paper?.place.name ?? "…";
    const folder = paper?.image?.folder ? `${paper.image.folder} · ` : "";
    byId("editor-place").textContent = `${folder}${index + 1} of ${total.toLocaleString("en")}`;
    /** @type {HTMLButtonElement} */ (byId("editor-previous")).disabled = index <= 0;
    /** @type {HTMLButtonElement} */ (byId("editor-next")).disabled = index >= total - 1;
    /** @type {HTMLButtonElement} */ (byId("editor-undo")).disabled = !paper || !undoable(paper);
  }

  /** @param {Paper|null} paper */
  #draw(paper) {
    const shown = paper?.id ?? "";
    if (shown === this.#pictured) return;
    this.#pictured = shown;
    byId("editor-broken").hidden = true;
    this.#picture.hidden = !paper;
    if (paper) this.#picture.src = picture({ id: paper.id, stamp: paper.image?.stamp ?? paper.place.stamp }, "large");
    else this.#picture.removeAttribute("src");
  }

  /** What is known of the image. @param {Paper|null} paper */
  #tell(paper) {
    const image = paper?.image ?? null;
    if (image === this.#told) return;
    this.#told = image;
    this.#picture.alt = image?.caption ?? image?.name ?? "";
    const by = byId("editor-by");
    by.hidden = !image?.by;
    by.textContent = image?.by ? BY[image.by] : "";
    by.className = `tag ${image?.by ?? ""}`;
    byId("editor-facts").replaceChildren(...(image ? facts(image) : []));
    showHistory(byId("editor-history"), image?.history ?? [], image?.current ?? null, (text) => this.#feed({ type: "used", text }));
  }

  /** Shows both texts. @param {Paper|null} paper */
  #oppose(paper) {
    const box = byId("editor-conflict");
    const theirs = paper && inConflict(paper) ? (paper.image?.caption ?? null) : undefined;
    const key = theirs === undefined ? "" : `${paper?.id} ${paper?.image?.version}`;
    if (key === this.#opposed) return;
    this.#opposed = key;
    box.hidden = theirs === undefined;
    if (theirs === undefined) return box.replaceChildren();
    const mine = el("button", { type: "button" }, "Keep mine");
    const other = el("button", { type: "button", class: "quiet" }, "Take this one");
    mine.addEventListener("click", () => this.#feed({ type: "keep mine" }));
    other.addEventListener("click", () => this.#feed({ type: "discard" }));
    box.replaceChildren(
      el("p", {}, el("b", {}, "This caption was changed meanwhile. "), "Your text is above, not saved. The caption is now:"),
      el("blockquote", {}, theirs ?? "No caption: it was removed."),
      el("div", { class: "buttons" }, mine, other),
    );
  }

  /** @param {Note} note */
  #note(note) {
    const key = JSON.stringify(note);
    if (key === this.#noted) return;
    this.#noted = key;
    const line = byId("editor-status");
    line.classList.toggle("trouble", note.trouble ?? false);
    line.replaceChildren(note.words);
    const { action } = note;
    if (!action) return;
    const button = el("button", { type: "button", class: "link" }, ACTIONS[action]);
    button.addEventListener("click", () => this.#feed(action === "use" ? { type: "used", text: note.text ?? "" } : { type: action }));
    line.append(" ", button);
  }

  measure = settled(() => {
    const n = clipTokens(this.field.value);
    const line = byId("caption-length");
    line.textContent = `${plural(words(this.field.value), "word")} · about ${plural(n, "token")} of CLIP's ${CLIP_TOKENS} (estimated)`;
    line.classList.toggle("over", n > CLIP_TOKENS);
  }, 60);

  async #broken() {
    const source = this.#picture.getAttribute("src");
    if (!source) return;
    this.#picture.hidden = true;
    const caption = byId("editor-broken");
    caption.hidden = false;
    caption.textContent = "This picture cannot be shown.";
    const answer = await fetch(source).then((r) => r.json()).catch(() => null);
    if (answer?.detail && source === this.#picture.getAttribute("src")) caption.textContent = `This picture cannot be shown: ${answer.detail}.`;
  }
}

/** @param {State} state @param {Paper|null} paper */
const failureOf = (state, paper) => (paper ? paper.failure : state.failure);

/** What an empty field says. @param {State} state @param {Paper|null} paper */
function placeholder(state, paper) {
  const failure = failureOf(state, paper);
  if (failure?.gone || !state.may) return "";
  return failure ? `The caption could not be loaded. ${ADDED}` : `Loading the caption… ${ADDED}`;
}

/** What the line below the field says. @param {State} state @param {Paper|null} paper @returns {Note} */
function noteOf(state, paper) {
  if (!paper) return state.failure ? unknown(state.failure) : { words: looseOf(state).text ? `Loading this image. ${ADDED}` : "" };
  if (paper.note) return paper.note;
  if (!paper.image) return paper.failure ? unknown(paper.failure) : { words: unsaved(paper) ? `The caption is still loading. ${ADDED}` : "" };
  if (!unsaved(paper) || inConflict(paper) || paper.saving) return { words: "" };
  return { words: paper.unkept ? "Not saved yet." : "Not saved yet; kept in this browser." };
}

/** Why a caption is not known, and what to do. @param {import("./editing/state.js").Failure} failure @returns {Note} */
function unknown({ words: why, lost, gone }) {
  if (gone) return { words: why, trouble: true };
  if (!lost) return { words: `The caption could not be loaded. ${why}`, trouble: true, action: "again" };
  const words = `The caption could not be loaded: ${why} You can go on typing: your text is kept in this browser, and added to the caption's end when captiv is back.`;
  return { words, trouble: true };
}

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
