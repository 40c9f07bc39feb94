// What the editor knows: which image is shown, and of each image a paper with its caption.
//
// There is one truth of a caption that is edited: its paper. `image` is what captiv said last, `text`
// what the field shows, `base` the version that the text began from. All else follows:
//
//   not known    `image` is null. What is typed by then is an addition to the caption's end, where the
//                caret will stand; after Ctrl+A it is the whole caption. With a draft of an earlier
//                visit the text is known before the image, and so is its base.
//   unsaved      the text is another one than the image's
//   in conflict  unsaved, and captiv has another version than the text began from
//
// An unsaved text is in the browser's storage, too, from its first letter on. A draft that a tab left which
// is no more is taken over where its image is met; untouched, it is saved only by somebody who says so.

import { shownOf } from "./text.js";

/**
 * @typedef {import("../listing.js").Card} Card
 * @typedef {Card & {folder: string, sidecar: string, shared_with: string[], bytes: number,
 *   width: number|null, height: number|null, history: import("../history.js").Earlier[],
 *   current: number|null, undoes: boolean}} Image
 * @typedef {{id: string, stamp: string, name?: string}} Place an image, as far as a row knows it
 * @typedef {{text: string, tail: string, version: string, sent: (string|null)[]}} Draft
 *   `version` is empty where the caption was not known: then the text is an addition
 * @typedef {Draft & {key: string}} KeptDraft
 * @typedef {{words: string, trouble?: boolean, action?: "discard"|"use"|"again", text?: string}} Note
 * @typedef {{words: string, lost: boolean, gone?: boolean}} Failure
 * @typedef {{ticket: number, text: string, file: string|null, undo: boolean}} Saving
 *   what the field showed then, and what goes into the file
 *
 * @typedef {object} Paper one image, while it is edited
 * @property {string} id
 * @property {Place} place
 * @property {Image|null} image
 * @property {string} text
 * @property {string|null} base
 * @property {string} tail the newlines at the file's end, which the field does not show
 * @property {boolean} whole
 * @property {boolean} touched whether the text was typed here, not only found as a draft
 * @property {Saving|null} saving
 * @property {boolean} wish whether it is to be saved as soon as it can be
 * @property {boolean} last whether that was asked for on the last image
 * @property {{caption: string|null}|null} back what is to be in the file again: a text was given up that may be there
 * @property {(string|null)[]} sent texts that may have arrived although no answer came
 * @property {string|null} heard the version that others told of while it was saved
 * @property {string|null} found the key of the draft that the text was taken from
 * @property {number} loading the ticket of the answer that is awaited, or 0
 * @property {boolean} stale whether captiv is to be asked once more after the answer that is awaited
 * @property {Failure|null} failure why the caption is not known
 * @property {Note|null} note
 * @property {boolean} unkept whether the browser would not keep the draft
 *
 * @typedef {{row: number, index: number, text: string, whole: boolean, wish: boolean}} Loose
 *   what was typed for a place before it is known which image is there
 *
 * @typedef {object} State
 * @property {boolean} may whether this session may change captions
 * @property {boolean} open
 * @property {number} row which row of images the editor goes along
 * @property {number} total
 * @property {number} index
 * @property {string|null} shown the image that is shown; null while it is not known which it is
 * @property {Failure|null} failure why it is not known
 * @property {boolean} composing whether an input method is at work in the field
 * @property {Event[]} waiting answers that came meanwhile
 * @property {Record<number, Place>} places of this row, as far as they are known
 * @property {Record<string, Loose>} loose
 * @property {Record<string, Paper>} papers
 * @property {number} tickets how many were given
 *
 * @typedef {{type: "opened", row: number, total: number, index: number}
 *   | {type: "closed"} | {type: "moved", index: number} | {type: "next"} | {type: "save"}
 *   | {type: "undo"} | {type: "discard"} | {type: "keep mine"} | {type: "caption"}
 *   | {type: "typed", text: string} | {type: "used", text: string} | {type: "selected all"}
 *   | {type: "composing"} | {type: "composed", text: string}
 *   | {type: "found", row: number, index: number, place: Place|null, draft: KeptDraft|null}
 *   | {type: "not found", row: number, index: number, failure: Failure}
 *   | {type: "loaded", id: string, ticket: number, image: Image}
 *   | {type: "not loaded", id: string, ticket: number, failure: Failure}
 *   | {type: "saved", id: string, ticket: number, image: Image}
 *   | {type: "refused", id: string, ticket: number, text: string|null, version: string}
 *   | {type: "not saved", id: string, ticket: number, failure: Failure}
 *   | {type: "changed", card: Card} | {type: "changed more"} | {type: "again"}
 *   | {type: "not kept", id: string}} Event
 *
 * @typedef {{do: "find", row: number, index: number}
 *   | {do: "load", id: string, ticket: number}
 *   | {do: "save", id: string, ticket: number, text: string|null, version: string}
 *   | {do: "undo", id: string, ticket: number, version: string}
 *   | {do: "keep", id: string, draft: Draft, found: string|null}
 *   | {do: "drop", id: string, found: string|null}
 *   | {do: "prefetch", place: Place} | {do: "focus"} | {do: "select"}
 *   | {do: "tell", words: string} | {do: "tell went", index: number}
 *   | {do: "tell saved", image: Image} | {do: "tell caption", image: Image}} Effect
 */

/** @param {boolean} may @returns {State} */
export const empty = (may) => ({
  may,
  open: false,
  row: 0,
  total: 0,
  index: 0,
  shown: null,
  failure: null,
  composing: false,
  waiting: [],
  places: {},
  loose: {},
  papers: {},
  tickets: 0,
});

/** The paper of an image that was not looked at yet. @param {Place} place @param {KeptDraft|null} draft @returns {Paper} */
export const paperOf = (place, draft) => ({
  id: place.id,
  place,
  image: null,
  text: draft?.text ?? "",
  base: draft?.version || null,
  tail: draft?.tail ?? "",
  whole: false,
  touched: false,
  saving: null,
  wish: false,
  last: false,
  back: null,
  sent: draft?.sent ?? [],
  heard: null,
  found: draft?.key ?? null,
  loading: 0,
  stale: false,
  failure: null,
  note: null,
  unkept: false,
});

/** The paper that is shown. @param {State} state @returns {Paper|null} */
export const shownPaper = (state) => (state.shown === null ? null : (state.papers[state.shown] ?? null));

/** @param {State} state @returns {Loose} */
export const looseOf = (state) =>
  state.loose[looseKey(state.row, state.index)] ?? { row: state.row, index: state.index, text: "", whole: false, wish: false };

/** @param {number} row @param {number} index */
export const looseKey = (row, index) => `${row}:${index}`;

/** What the field shows. @param {State} state */
export const fieldOf = (state) => shownPaper(state)?.text ?? looseOf(state).text;

/** What captiv has, as the field would show it. @param {Paper} paper */
export const savedText = (paper) => shownOf(paper.image?.caption ?? null, paper.tail);

/** Whether a text is here that captiv does not have, or perhaps has another than it said last. @param {Paper} paper */
export const unsaved = (paper) =>
  paper.image ? paper.text !== savedText(paper) || paper.sent.length > 0 : paper.base !== null || paper.text !== "";

/** Whether captiv has another caption than the one that this text began from. @param {Paper} paper */
export const inConflict = (paper) => paper.image !== null && unsaved(paper) && paper.base !== paper.image.version;

/** Whether this is the first caption that a person gave the image: undone, there is none. @param {Image} image */
export const firstByHand = (image) => image.by === "hand" && image.caption !== null && image.history.length === 1;

/** Whether *Undo* does something. @param {Paper} paper */
export const undoable = (paper) => !paper.back && (unsaved(paper) || (paper.image !== null && (paper.image.undoes || firstByHand(paper.image))));

/** Whether letters would be lost if the page ended now. @param {State} state */
export const atRisk = (state) =>
  Object.values(state.loose).some((loose) => loose.text !== "") ||
  Object.values(state.papers).some((paper) => paper.unkept && unsaved(paper));

/** The rows that something may still be looked for in. @param {State} state */
export const rowsInUse = (state) => new Set([state.row, ...Object.values(state.loose).map((loose) => loose.row)]);
