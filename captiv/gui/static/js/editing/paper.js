// What becomes of one image's paper: loaded, typed on, saved, refused, given up.
//
// A save says which version the text began from. Saves of one image queue: while one is under way the
// wish for another is noted, and that one begins from the version that the first one made. A text that
// was sent and not answered may have arrived: found there later, it is the person's own, no conflict.
// Given up by then, it is not to stay: what was there before is saved again, if the text has arrived.

import { inConflict, savedText, unsaved } from "./state.js";
import { act, nextTicket, write } from "./step.js";
import { asFile, sameCaption, shownOf, tailOf } from "./text.js";
import { LAST_SAVED } from "./words.js";

/**
 * @typedef {import("./step.js").Step} Step
 * @typedef {import("./state.js").Paper} Paper
 * @typedef {import("./state.js").Image} Image
 * @typedef {import("./state.js").Note} Note
 * @typedef {import("./state.js").Failure} Failure
 */

/** @type {Note} */
const ELSEWHERE = { words: "This caption was just changed elsewhere; this is how it is now." };
const DISCARDED = "Your unsaved text was discarded.";
/** @type {Note} */
const RESTORED = { words: "Your unsaved text is here again.", action: "discard" };

/** Has the image loaded: now, or once more after the answer that is awaited. @param {Step} step @param {string} id */
export function load(step, id) {
  const { loading, saving } = step.state.papers[id];
  if (loading || saving) write(step, id, { stale: true });
  else ask(step, id);
}

/** Asks for the image; only the answer to the last asking counts. @param {Step} step @param {string} id */
export function ask(step, id) {
  const ticket = nextTicket(step);
  write(step, id, { loading: ticket, stale: false });
  act(step, { do: "load", id, ticket });
}

/** Shows what captiv has, and nothing else. @param {Step} step @param {string} id @param {Image} image @param {Note|null} note */
export function take(step, id, image, note) {
  const tail = tailOf(image.caption);
  const text = shownOf(image.caption, tail);
  const fresh = { whole: false, touched: false, wish: false, last: false, back: null, sent: [], failure: null };
  write(step, id, { ...fresh, image, tail, text, base: image.version, note });
}

/** Takes in what was typed. @param {Step} step @param {string} id @param {string} text @param {boolean} [whole] */
export function type(step, id, text, whole = step.state.papers[id].whole) {
  const { back, wish } = step.state.papers[id];
  write(step, id, { text, whole, touched: true, back: null, wish: wish && !back, unkept: false, note: null });
  const paper = step.state.papers[id];
  if (paper.image && !unsaved(paper)) write(step, id, { base: paper.image.version });
}

// -- what captiv says ------------------------------------------------------------------------------

/** Takes in an image that was loaded. @param {Step} step @param {string} id @param {Image} image */
export function loaded(step, id, image) {
  const { saving, stale } = step.state.papers[id];
  write(step, id, { loading: 0, failure: null });
  // It was asked for before the save: it may tell of what is there before it or after.
  if (saving) return write(step, id, { stale: true });
  learn(step, id, image);
  if (stale) askAgain(step, id);
}

/** @param {Step} step @param {string} id @param {Failure} failure */
export function notLoaded(step, id, failure) {
  const { stale } = step.state.papers[id];
  write(step, id, { loading: 0, failure });
  if (stale) askAgain(step, id);
}

/** @param {Step} step @param {string} id */
function askAgain(step, id) {
  write(step, id, { stale: false });
  load(step, id);
}

/** @param {Step} step @param {string} id @param {Image} image */
function learn(step, id, image) {
  const paper = step.state.papers[id];
  if (!paper.image && paper.base === null) return join(step, id, image);
  if (!unsaved(paper)) {
    if (paper.image?.caption === image.caption) return write(step, id, { image, base: image.version });
    return take(step, id, image, paper.image?.version === image.version ? paper.note : ELSEWHERE);
  }
  const found = paper.image === null && !paper.touched;
  see(step, id, image);
  const now = step.state.papers[id];
  const asBefore = now.base === image.version && now.text === savedText(now);
  if (asBefore && (found || now.back)) take(step, id, image, now.note);
  else reconcile(step, id, found ? RESTORED : paper.note);
}

/** Puts what was typed before the caption was known at its end. @param {Step} step @param {string} id @param {Image} image */
function join(step, id, image) {
  const { text, whole, touched, wish, last } = step.state.papers[id];
  take(step, id, image, null);
  const held = step.state.papers[id].text;
  if (text) write(step, id, { text: whole ? text : held + text, touched, wish, last });
  else if (whole && step.state.shown === id) act(step, { do: "select" });
  save(step, id);
}

/** Takes an image as the one that is there, and leaves the text alone. @param {Step} step @param {string} id @param {Image} image */
function see(step, id, image) {
  const { tail } = step.state.papers[id];
  const kept = (image.caption ?? "").endsWith(tail);
  write(step, id, { image, tail: kept ? tail : tailOf(image.caption) });
}

/** Finds out whether what is there is the person's own text, or somebody else's. @param {Step} step @param {string} id @param {Note|null} note */
function reconcile(step, id, note) {
  const { text, image, base, sent } = step.state.papers[id];
  if (image && base !== image.version && [text, ...sent].some((own) => sameCaption(own, image.caption))) {
    write(step, id, { base: image.version, sent: [] });
  }
  const paper = step.state.papers[id];
  if (image && !unsaved(paper)) return take(step, id, image, saidSaved(paper));
  if (image && paper.back && inConflict(paper)) return take(step, id, image, ELSEWHERE);
  write(step, id, { note: inConflict(paper) ? null : note });
  if (inConflict(paper)) oppose(step, id);
  else save(step, id);
}

/** Both texts are shown now, or will be: nothing is saved by itself any more. @param {Step} step @param {string} id */
function oppose(step, id) {
  const { wish, image } = step.state.papers[id];
  write(step, id, { wish: false, last: false });
  if (wish && step.state.shown !== id && image) {
    act(step, { do: "tell", words: `${image.name} was changed meanwhile. Your text is not saved: open the image to see both.` });
  }
}

// -- saving ----------------------------------------------------------------------------------------

/** Saves what was wished to be, if it can be now. @param {Step} step @param {string} id */
export function save(step, id) {
  const paper = step.state.papers[id];
  if (!paper.wish || paper.saving) return;
  if (!paper.image) {
    if (!paper.loading) load(step, id);
    return;
  }
  if (!unsaved(paper)) return write(step, id, { wish: false });
  if (inConflict(paper)) return oppose(step, id);
  // A text that was given up may never have arrived: then there is nothing to save.
  if (paper.back && paper.text === savedText(paper)) return void (paper.loading || load(step, id));
  const file = paper.back ? paper.back.caption : asFile(paper.text, paper.image.caption, paper.tail);
  const ticket = nextTicket(step);
  const saving = { ticket, text: paper.text, file, undo: false };
  write(step, id, { saving, wish: false, heard: null, sent: [...paper.sent, file] });
  act(step, { do: "save", id, ticket, text: file, version: paper.base ?? paper.image.version });
}

/** Takes in captiv's answer to a save or an undo. @param {Step} step @param {string} id @param {Image} image */
export function settle(step, id, image) {
  const before = step.state.papers[id];
  const { saving, heard, stale } = before;
  if (!saving) return;
  write(step, id, { saving: null, loading: 0, failure: null });
  act(step, { do: "tell saved", image });
  if (saving.undo) undone(step, id, image, saving);
  else if (sameCaption(saving.file, image.caption)) saved(step, id, image, saving);
  else replaced(step, id, image, saving);
  if (stale || (heard !== null && heard !== image.version)) askAgain(step, id);
}

/** @param {Step} step @param {string} id @param {Image} image @param {import("./state.js").Saving} saving */
function saved(step, id, image, saving) {
  see(step, id, image);
  write(step, id, { base: image.version, sent: [] });
  const { text, back } = step.state.papers[id];
  if (back) return back.caption === saving.file ? take(step, id, image, saidSaved(step.state.papers[id])) : save(step, id);
  if (text === saving.text) write(step, id, { text: savedText(step.state.papers[id]) });
  const now = step.state.papers[id];
  if (!unsaved(now)) return write(step, id, { wish: false, last: false, touched: false, note: saidSaved(now) });
  write(step, id, { note: null });
  save(step, id);
}

/** Somebody wrote another text right after. @param {Step} step @param {string} id @param {Image} image @param {import("./state.js").Saving} saving */
function replaced(step, id, image, saving) {
  if (step.state.papers[id].text === saving.text) return take(step, id, image, ELSEWHERE);
  see(step, id, image);
  reconcile(step, id, null);
}

/** @param {Step} step @param {string} id @param {Image} image @param {import("./state.js").Saving} saving */
function undone(step, id, image, saving) {
  const words = image.caption === null ? "Undone: there is no caption, as before." : "Undone: this is the caption from before.";
  if (step.state.papers[id].text === saving.text) return take(step, id, image, { words });
  see(step, id, image);
  reconcile(step, id, null);
}

/** @param {Paper} paper @returns {Note|null} */
function saidSaved(paper) {
  if (paper.last) return { words: LAST_SAVED };
  if (paper.back) return paper.note?.trouble ? { ...paper.note, words: DISCARDED, trouble: false } : paper.note;
  return { words: paper.image?.caption === null ? "Caption removed; its text is kept below." : "Saved." };
}

/** captiv has another caption than the one that the text began from. @param {Step} step @param {string} id @param {string|null} text @param {string} version */
export function refuse(step, id, text, version) {
  const paper = step.state.papers[id];
  const { image, saving, wish } = paper;
  if (!image || !saving) return;
  write(step, id, { saving: null });
  const now = { ...image, caption: text, version };
  if (!unsaved(paper)) take(step, id, now, ELSEWHERE);
  else {
    write(step, id, { wish: wish || !saving.undo });
    see(step, id, now);
    reconcile(step, id, paper.back && paper.note);
  }
  ask(step, id); // for what else is different: who wrote it, and what was there before
}

/** A save that did not come to pass. @param {Step} step @param {string} id @param {Failure} failure */
export function fail(step, id, failure) {
  const { saving, heard, loading, stale } = step.state.papers[id];
  if (!saving) return;
  write(step, id, { saving: null, loading: 0 });
  if (failure.lost) lost(step, id, saving);
  else failed(step, id, saving, failure);
  if (heard !== null || loading || stale) askAgain(step, id);
}

/** Nobody answered: it may have been saved. @param {Step} step @param {string} id @param {import("./state.js").Saving} saving */
function lost(step, id, saving) {
  const { wish, back, note } = step.state.papers[id];
  const words = saving.undo || back ? "Not undone: captiv cannot be reached." : "Not saved: captiv cannot be reached. Your text is kept in this browser.";
  write(step, id, { wish: wish || !saving.undo, note: { ...(back && note), words, trouble: true } });
}

/** captiv says why not. @param {Step} step @param {string} id @param {import("./state.js").Saving} saving @param {Failure} failure */
function failed(step, id, saving, { words }) {
  const { image, sent, back, note } = step.state.papers[id];
  write(step, id, { wish: false, sent: saving.undo ? sent : sent.slice(0, -1) });
  if (image && back && !unsaved(step.state.papers[id])) return take(step, id, image, note);
  write(step, id, { note: { words, trouble: true } });
  if (step.state.shown !== id && image) act(step, { do: "tell", words: `${image.name} was not saved. ${words}` });
}

// -- going back ------------------------------------------------------------------------------------

/** Gives up what was typed, also where it is on its way into the file. @param {Step} step @param {string} id @param {Note|null} note */
export function discard(step, id, note) {
  const paper = step.state.papers[id];
  const { image, sent, back } = paper;
  if (back) return;
  if (!image) return write(step, id, { text: "", base: null, tail: "", whole: false, touched: false, wish: false, sent: [], note });
  if (sent.length === 0 || inConflict(paper)) return take(step, id, image, note);
  const { caption } = image;
  write(step, id, { text: savedText(paper), back: { caption }, touched: true, wish: true, last: false, note });
  save(step, id);
}

/** Says that a text was given up, and how to have it back. @param {string} text @returns {Note} */
export const discarded = (text) => ({ words: DISCARDED, action: "use", text });

/** Asks for the caption before this one. @param {Step} step @param {string} id @param {boolean} first whether there was none */
export function goBack(step, id, first) {
  const { image, text, saving } = step.state.papers[id];
  if (!image || saving) return;
  const ticket = nextTicket(step);
  write(step, id, { saving: { ticket, text, file: null, undo: true }, heard: null });
  if (first) act(step, { do: "save", id, ticket, text: null, version: image.version });
  else act(step, { do: "undo", id, ticket, version: image.version });
}
