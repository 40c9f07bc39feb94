// A model of what is around the editor's tabs: captiv with its files, the browser's storage, and somebody
// else who writes. It notes for which image a person typed a letter, and checks where it is in the end.

import assert from "node:assert/strict";

import { shownOf, tailOf, unified } from "../../captiv/gui/static/js/editing/text.js";
import { CAPTIONS, IMAGES, LEFT_BREAK, letter, lettersOf, OTHER, readingsOf } from "./letters.js";
import { Tab } from "./tab.js";

/** What tells captions apart. @param {string|null} text */
const versionOf = (text) => (text === null ? "none" : `v:${unified(text).trim()}`);

export class World {
  files = new Map(IMAGES.map((id, at) => [id, CAPTIONS[at]]));
  /** Texts that were there before, for undo. */
  past = new Map(IMAGES.map((id) => [id, []]));
  /** @type {Map<string, {id: string, draft: any}>} */
  storage = new Map();
  /** @type {Map<string, {image: string, by: Tab|string}>} */
  letters = new Map();
  /** Letters that a person took away, or that another writer replaced knowingly. */
  released = new Set();
  /** What each file should say, while one person is the only one who writes. */
  wanted = new Map(IMAGES.map((id, at) => [id, shownOf(CAPTIONS[at], tailOf(CAPTIONS[at]))]));
  written = new Set();
  /** Images whose caption a person typed over before they saw it. */
  typedOver = new Set();
  online = true;
  /** Whether the browser's storage has no room left. */
  full = false;
  wasFull = false;

  /** @param {number} tabs @param {{alone: boolean}} kind */
  constructor(tabs, { alone }) {
    this.alone = alone;
    this.tabs = Array.from({ length: tabs }, (_, at) => new Tab(this, `t${at}`));
  }

  letter(image, by) {
    const made = letter(this.letters.size);
    this.letters.set(made, { image, by });
    return made;
  }

  describe(id) {
    const caption = this.files.get(id);
    const version = versionOf(caption);
    return { id, name: id, stamp: "s", caption, version, history: [], current: null, undoes: this.past.get(id).length > 0 };
  }

  /** Writes a file for a tab or somebody else, and tells the tabs. */
  write(id, text, by) {
    const before = this.files.get(id);
    for (const one of lettersOf(before ?? "")) {
      if ((text ?? "").includes(one)) continue;
      const writer = this.letters.get(one).by;
      if (by !== OTHER && writer !== by && !this.released.has(one)) assert(by.mayReplace(id, one), `${one} was replaced unseen`);
      if (writer !== by) this.released.add(one);
    }
    this.past.get(id).push(before);
    this.files.set(id, text);
    this.written.add(id);
    this.news(id);
  }

  /** What was typed before it was known for which image, in a tab that a person closed all the same. */
  lose(image, text) {
    for (const letter of lettersOf(text)) this.released.add(letter);
    const wanted = this.wanted.get(image);
    assert(wanted.replaceAll(LEFT_BREAK, "\n").endsWith(text) || !this.alone);
    this.wanted.set(image, wanted.slice(0, wanted.length - text.length));
  }

  fill() {
    this.full = true;
    this.wasFull = true;
  }

  /** What was typed and not kept goes with its tab, but for what was taken from a draft, or is in an older one. */
  giveLetters(id, text, taken) {
    const kept = this.draftsOf(id).map((draft) => draft.text).join("");
    for (const letter of lettersOf(text)) if (!kept.includes(letter) && !taken.has(letter)) this.released.add(letter);
  }

  /** What is wanted of a caption whose text is given up: what captiv said last, or has, if it said nothing. */
  giveUp({ id, image, back, tail }) {
    if (back) return;
    const caption = image ? image.caption : this.files.get(id);
    const shown = shownOf(caption, image ? tail : tailOf(caption));
    this.wanted.set(id, shown.replace(/\n+$/, (breaks) => LEFT_BREAK.repeat(breaks.length)));
  }

  news(id) {
    for (const tab of this.tabs) if (this.online) tab.news.push(this.describe(id));
  }

  /** Somebody else writes a caption of one letter. */
  intrude(id) {
    this.write(id, this.letter(id, OTHER), OTHER);
  }

  /** captiv's side of a request. */
  serve(request, tab, intruding = false) {
    const { do: what, id } = request;
    if (what === "find") return { place: { id: IMAGES[request.index], stamp: "s", name: IMAGES[request.index] } };
    if (what === "load") return { image: this.describe(id) };
    const now = this.files.get(id);
    if (versionOf(now) !== request.version) return { refused: { text: now, version: versionOf(now) } };
    if (what === "save") {
      this.checkSent(id, request.text ?? "");
      this.write(id, request.text, tab);
      if (intruding) this.intrude(id);
    } else this.goBack(id, tab);
    return { image: this.describe(id) };
  }

  goBack(id, tab) {
    const before = this.past.get(id).pop() ?? null;
    for (const letter of lettersOf(this.files.get(id) ?? "")) this.released.add(letter);
    tab.forgive(id);
    this.files.set(id, before);
    this.written.add(id);
    this.news(id);
  }

  /** No letter goes anywhere but to the image that it was typed for, nor twice. */
  checkSent(id, text) {
    const found = lettersOf(text);
    // An older draft that could not be written over may be an addition that has arrived since.
    if (!this.wasFull) assert.equal(new Set(found).size, found.length, `a letter is there twice in ${text}`);
    for (const letter of found) assert.equal(this.letters.get(letter).image, id, `${letter} is in the text of ${id}`);
  }

  connect(online) {
    this.online = online;
    for (const tab of this.tabs) {
      if (online) tab.feed({ type: "again" });
      else tab.news = [];
    }
  }

  /** Everybody stops, and all that is under way arrives. */
  end() {
    for (const tab of this.tabs) {
      tab.endComposition();
      tab.close();
    }
    this.connect(true);
    for (let round = 0; round < 4; round += 1) {
      for (const tab of this.tabs) tab.drain();
      this.connect(true);
    }
    for (const tab of this.tabs) tab.drain();
    for (const tab of this.tabs) for (const paper of Object.values(tab.state.papers)) assert(!paper.wish && !paper.saving, "a save still waits");
  }

  /** Texts that a tab shows and the browser had no room for. */
  unkept(id) {
    const papers = this.tabs.map((tab) => tab.state.papers[id]);
    return papers.filter((paper) => paper?.unkept).map((paper) => paper.text);
  }

  draftsOf(id) {
    return [...this.storage.values()].filter((kept) => kept.id === id).map((kept) => kept.draft);
  }

  /** What must hold at the end of every history. */
  check() {
    for (const id of IMAGES) {
      const texts = [this.files.get(id) ?? "", ...this.draftsOf(id).map((draft) => draft.text), ...this.unkept(id)];
      for (const text of texts) this.checkSent(id, text);
      for (const [letter, { image, by }] of this.letters) {
        if (image !== id || by === OTHER || this.released.has(letter)) continue;
        assert(texts.some((text) => text.includes(letter)), `${letter} of ${id} is lost; there is ${JSON.stringify(texts)}`);
      }
      if (!this.written.has(id)) assert.equal(this.files.get(id), CAPTIONS[IMAGES.indexOf(id)]);
      if (this.alone) this.checkExact(id);
    }
  }

  /** One person alone finds the text exactly as it was typed, with the file's own line ends. */
  checkExact(id) {
    const initial = CAPTIONS[IMAGES.indexOf(id)];
    const wanted = this.wanted.get(id);
    const readings = readingsOf(wanted);
    const held = this.files.get(id);
    if (readings.some((reading) => sameFile(held, asWritten(reading, initial)))) return;
    assert(this.tabs.some((tab) => tab.lives > 1), `${id} could be saved, and is not: ${JSON.stringify(wanted)}, file ${JSON.stringify(held)}`);
    const texts = this.draftsOf(id).map((draft) => (draft.version ? draft.text : shownOf(held, tailOf(held)) + draft.text));
    const kept = readings.some((reading) => texts.some((text) => text.trimStart() === reading.text.trimStart()));
    assert(kept, `${id} should be ${JSON.stringify(wanted)}: file ${JSON.stringify(held)}, drafts ${JSON.stringify(texts)}`);
  }
}

/** @param {string|null} held @param {string|null} file */
const sameFile = (held, file) => held === file || (held !== null && held.trimStart() === file?.trimStart());

/** Written without `asFile`, which is what is tested. */
function asWritten({ text, ended }, initial) {
  const tail = /[\r\n]+$/.exec(initial ?? "")?.[0] ?? "";
  if (!ended && text === shownOf(initial, tail)) return initial;
  if (!text.trim()) return null;
  const lineEnd = (initial ?? "").includes("\r\n") ? "\r\n" : "\n";
  return (text + ended).split("\n").join(lineEnd) + tail;
}
