// The editor's reducer: a state and an event become the next state and what is to be done about it.
//
// It knows no document, network, storage or clock. Moving on is one step: the place, the picture and the
// text change together. What is typed after that belongs to the new place, known or not. Leaving an
// image wishes its text saved; the rest of its way is in `paper.js`.

import { ask, discard, discarded, fail, goBack, load, loaded, notLoaded, refuse, save, settle, type } from "./paper.js";
import { firstByHand, inConflict, looseKey, looseOf, paperOf, shownPaper, unsaved } from "./state.js";
import { act, change, write } from "./step.js";
import { shownOf, tailOf } from "./text.js";
import { IMAGE_GONE, LAST_SAVED } from "./words.js";

/**
 * @typedef {import("./step.js").Step} Step
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Event} Event
 * @typedef {import("./state.js").Paper} Paper
 * @typedef {import("./state.js").Draft} Draft
 */

const NEAR = [0, 1, 2, -1];
/** Images whose captions are loaded before they are gone to: a person who types is ahead of none. */

const ANSWERS = new Set(["found", "not found", "loaded", "not loaded", "saved", "refused", "not saved"]);

/** @param {State} state @param {Event} event @returns {Step} */
export function reduce(state, event) {
  if (state.composing && ANSWERS.has(event.type)) {
    // An input method owns the field: nothing else may write to it now.
    return { state: { ...state, waiting: [...state.waiting, event] }, effects: [] };
  }
  /** @type {Step} */
  const step = { state, effects: [] };
  handle(step, event);
  return { state: step.state, effects: [...drafts(state, step.state), ...step.effects] };
}

/** @param {Step} step @param {Event} event */
function handle(step, event) {
  switch (event.type) {
    case "opened": return opened(step, event);
    case "closed": return closed(step);
    case "moved": return moved(step, event.index);
    case "next": return next(step);
    case "save": return wishSaved(step);
    case "undo": return undo(step);
    case "discard": return onShown(step, ({ id }) => { discard(step, id, null); act(step, { do: "focus" }); });
    case "keep mine": return keepMine(step);
    case "caption": return caption(step);
    case "typed": return typed(step, event.text);
    case "used": return used(step, event.text);
    case "selected all": return selectedAll(step);
    case "composing": return change(step, { composing: true });
    case "composed": return composed(step, event.text);
    case "found": return found(step, event);
    case "not found": return notFound(step, event);
    case "changed": return changed(step, event.card);
    case "changed more": return changedMore(step);
    case "again": return again(step);
    default: return answered(step, event);
  }
}

/** Takes in what belongs to one paper. @param {Step} step @param {Exclude<Event, {card: any}|{row: number}|{index: number}>} event */
function answered(step, event) {
  if (!("id" in event)) return;
  const paper = step.state.papers[event.id];
  if (!paper) return;
  const { id } = event;
  switch (event.type) {
    case "loaded": return void (event.ticket === paper.loading && loaded(step, id, event.image));
    case "not loaded": return void (event.ticket === paper.loading && notLoaded(step, id, event.failure));
    case "saved": return void (event.ticket === paper.saving?.ticket && settle(step, id, event.image));
    case "refused": return void (event.ticket === paper.saving?.ticket && refuse(step, id, event.text, event.version));
    case "not saved": return void (event.ticket === paper.saving?.ticket && fail(step, id, event.failure));
    case "not kept": return write(step, id, { unkept: true });
  }
}

/** @param {Step} step @param {(paper: Paper) => void} then */
function onShown(step, then) {
  const paper = shownPaper(step.state);
  if (paper) then(paper);
}

// -- from image to image -----------------------------------------------------------------------------

/** @param {Step} step @param {{row: number, total: number, index: number}} event */
function opened(step, { row, total, index }) {
  leave(step);
  letGo(step);
  change(step, { open: true, row, total, places: {} });
  arrive(step, index);
  act(step, { do: "focus" });
}

/** @param {Step} step */
function closed(step) {
  leave(step);
  change(step, { open: false, shown: null });
  letGo(step);
  tidy(step);
}

/** Forgets what was begun, and nothing typed, where it is not known which image is there. @param {Step} step */
function letGo(step) {
  const typed = Object.entries(step.state.loose).filter(([, loose]) => loose.text);
  change(step, { loose: Object.fromEntries(typed) });
}

/** @param {Step} step @param {number} index */
function moved(step, index) {
  if (index < 0 || index >= step.state.total || index === step.state.index) return;
  leave(step);
  arrive(step, index);
}

/** @param {Step} step */
function next(step) {
  const { state } = step;
  const paper = shownPaper(state);
  if (paper && inConflict(paper)) return;
  if (paper && unsaved(paper)) write(step, paper.id, { touched: true });
  if (state.index + 1 < state.total) moved(step, state.index + 1);
  else if (paper && !unsaved(paper)) write(step, paper.id, { note: { words: LAST_SAVED } });
  else {
    if (paper) write(step, paper.id, { last: true });
    leave(step);
  }
  act(step, { do: "focus" });
}

/** What was typed on the image that is shown is to be saved. @param {Step} step */
function leave(step) {
  settleComposition(step);
  const paper = shownPaper(step.state);
  if (paper) {
    if (!unsaved(paper) || !paper.touched || inConflict(paper)) return;
    write(step, paper.id, { wish: true });
    save(step, paper.id);
  } else if (looseOf(step.state).text) loosen(step, { wish: true });
}

/** @param {Step} step @param {number} index */
function arrive(step, index) {
  const place = step.state.places[index];
  const known = place && step.state.papers[place.id];
  change(step, { index, shown: null, failure: null });
  act(step, { do: "tell went", index });
  if (known) show(step, place.id);
  else act(step, { do: "find", row: step.state.row, index });
}

/** @param {Step} step @param {string} id */
function show(step, id) {
  change(step, { shown: id });
  load(step, id); // also one that is known: it may have changed since
  for (const away of NEAR) ahead(step, step.state.index + away);
  tidy(step);
}

/** @param {Step} step @param {number} index */
function ahead(step, index) {
  const { row, total, places, papers } = step.state;
  if (index < 0 || index >= total || (places[index] && papers[places[index].id])) return;
  act(step, { do: "find", row, index });
}

/** Forgets papers that nothing hangs on. @param {Step} step */
function tidy(step) {
  const { papers, shown, index, places, open } = step.state;
  const near = new Set(open ? NEAR.map((away) => places[index + away]?.id) : []);
  const kept = Object.entries(papers).filter(([id, paper]) => id === shown || near.has(id) || busy(paper));
  change(step, { papers: Object.fromEntries(kept) });
}

/** @param {Paper} paper */
const busy = (paper) => paper.saving !== null || paper.wish || unsaved(paper);

/** @param {Step} step @param {Extract<Event, {type: "found"}>} event */
function found(step, { row, index, place, draft }) {
  const here = step.state.open && row === step.state.row && index === step.state.index;
  if (!place) return gone(step, row, index, here);
  if (row === step.state.row) change(step, { places: { ...step.state.places, [index]: place } });
  lay(step, place, step.state.may ? draft : null);
  settleLoose(step, row, index, place.id);
  if (here && step.state.shown === null) return show(step, place.id);
  if (row === step.state.row && index === step.state.index + 1) act(step, { do: "prefetch", place });
  const paper = step.state.papers[place.id];
  if (!paper.image && !paper.loading) load(step, place.id);
}

/** Makes the paper of an image; a draft that was found is taken over. @param {Step} step @param {import("./state.js").Place} place @param {import("./state.js").KeptDraft|null} draft */
function lay(step, place, draft) {
  const paper = step.state.papers[place.id];
  if (paper && (!draft || unsaved(paper) || paper.saving)) return;
  change(step, { papers: { ...step.state.papers, [place.id]: paperOf(place, draft) } });
}

/** @param {Step} step @param {number} row @param {number} index @param {boolean} here */
function gone(step, row, index, here) {
  const key = looseKey(row, index);
  const { [key]: loose, ...others } = step.state.loose;
  if (loose?.text) act(step, { do: "tell", words: `You typed “${loose.text}” for an image that is gone.` });
  change(step, { loose: others });
  if (here) change(step, { failure: { words: IMAGE_GONE, lost: false, gone: true } });
}

/** What was typed before it was known for which image goes onto that one's paper. @param {Step} step @param {number} row @param {number} index @param {string} id */
function settleLoose(step, row, index, id) {
  const key = looseKey(row, index);
  const { [key]: loose, ...others } = step.state.loose;
  if (!loose) return;
  change(step, { loose: others });
  const paper = step.state.papers[id];
  const { text, whole, image, base } = paper;
  const known = image !== null || base !== null;
  // Typed over all, blindly: over a caption, which has its history, but not over a text that was not saved.
  const over = loose.whole && !unsaved(paper);
  if (loose.text) type(step, id, over ? loose.text : text + loose.text, !known && (whole || over));
  else if (loose.whole && !known) write(step, id, { whole: true });
  else if (loose.whole) act(step, { do: "select" });
  if (loose.wish) write(step, id, { wish: true });
  save(step, id);
}

/** @param {Step} step @param {Extract<Event, {type: "not found"}>} event */
function notFound(step, { row, index, failure }) {
  const { state } = step;
  if (row === state.row && index === state.index && state.shown === null) change(step, { failure });
}

// -- what a person does ------------------------------------------------------------------------------

/** @param {Step} step @param {string} text */
function typed(step, text) {
  const paper = shownPaper(step.state);
  if (!paper) return loosen(step, { text });
  if (text !== paper.text) type(step, paper.id, text);
}

/** @param {Step} step @param {Partial<import("./state.js").Loose>} changes */
function loosen(step, changes) {
  const { row, index, loose } = step.state;
  change(step, { loose: { ...loose, [looseKey(row, index)]: { ...looseOf(step.state), ...changes } } });
}

/** @param {Step} step @param {string} text */
function used(step, text) {
  onShown(step, ({ id }) => type(step, id, shownOf(text, tailOf(text))));
  act(step, { do: "focus" });
}

/** @param {Step} step */
function selectedAll(step) {
  const paper = shownPaper(step.state);
  if (!paper) loosen(step, { whole: true });
  else if (!paper.image && paper.base === null) write(step, paper.id, { whole: true });
}

/** @param {Step} step @param {string} text */
function composed(step, text) {
  if (!step.state.composing) return;
  typed(step, text);
  settleComposition(step);
}

/** Takes in what came while an input method was at work. @param {Step} step */
function settleComposition(step) {
  const { waiting } = step.state;
  change(step, { composing: false, waiting: [] });
  for (const event of waiting) handle(step, event);
}

/** @param {Step} step */
function wishSaved(step) {
  const paper = shownPaper(step.state);
  if (!paper) return looseOf(step.state).text ? loosen(step, { wish: true }) : undefined;
  const { id } = paper;
  if (inConflict(paper)) return;
  if (unsaved(paper)) {
    write(step, id, { wish: true, touched: true });
    save(step, id);
  } else if (paper.image && !paper.saving) write(step, id, { note: { words: "Nothing to save: the caption is as it was." } });
}

/** @param {Step} step */
function undo(step) {
  onShown(step, (paper) => {
    const { id, image, text } = paper;
    if (unsaved(paper)) return discard(step, id, discarded(text));
    if (image?.undoes) goBack(step, id, false);
    else if (image && firstByHand(image)) goBack(step, id, true);
  });
}

/** @param {Step} step */
function keepMine(step) {
  onShown(step, ({ id, image }) => {
    if (!image) return;
    write(step, id, { base: image.version, wish: true, touched: true });
    save(step, id);
  });
}

/** Has a model write the caption: not over what is typed and not saved. @param {Step} step */
function caption(step) {
  onShown(step, (paper) => {
    const words = "Save your text or undo it first: a new caption would conflict with it.";
    if (unsaved(paper)) write(step, paper.id, { note: { words, trouble: true } });
    else if (paper.image) act(step, { do: "tell caption", image: paper.image });
  });
}

// -- what comes from elsewhere -------------------------------------------------------------------------

/** @param {Step} step @param {import("./state.js").Card} card */
function changed(step, card) {
  const paper = step.state.papers[card.id];
  if (!paper || paper.image?.version === card.version) return;
  if (paper.saving) write(step, card.id, { heard: card.version });
  else if (paper.image || paper.loading) load(step, card.id);
}

/** More changed than captiv names. @param {Step} step */
function changedMore(step) {
  for (const id of Object.keys(step.state.papers)) load(step, id);
}

/** captiv is there again: what it could not be told, and what it may have told nobody. @param {Step} step */
function again(step) {
  const { state } = step;
  for (const paper of Object.values(state.papers)) {
    if (paper.wish) save(step, paper.id);
    // Anew: what was asked for on a connection that is no more may never be answered.
    if (!step.state.papers[paper.id].saving) ask(step, paper.id);
  }
  const missing = Object.values(state.loose).filter((loose) => loose.text);
  for (const { row, index } of missing) act(step, { do: "find", row, index });
  const here = missing.some((loose) => loose.row === state.row && loose.index === state.index);
  if (state.open && state.shown === null && !state.failure?.gone && !here) act(step, { do: "find", row: state.row, index: state.index });
}

// -- drafts --------------------------------------------------------------------------------------------

/** What the browser's storage has to learn. @param {State} before @param {State} after @returns {import("./state.js").Effect[]} */
function drafts(before, after) {
  /** @type {import("./state.js").Effect[]} */
  const effects = [];
  for (const id of new Set([...Object.keys(before.papers), ...Object.keys(after.papers)])) {
    if (before.papers[id] === after.papers[id]) continue;
    const old = draftOf(before.papers[id]);
    const now = draftOf(after.papers[id]);
    if (JSON.stringify(old) === JSON.stringify(now)) continue;
    // The draft that it was taken from goes with it; the browser may have no room to keep it twice.
    if (now) effects.push({ do: "keep", id, draft: now, found: after.papers[id].found });
    else effects.push({ do: "drop", id, found: before.papers[id].found });
  }
  return effects;
}

/** @param {Paper|undefined} paper @returns {Draft|null} */
function draftOf(paper) {
  if (!paper || !unsaved(paper)) return null;
  const { text, tail, base, sent } = paper;
  return { text, tail, version: base ?? "", sent };
}
