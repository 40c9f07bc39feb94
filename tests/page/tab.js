// One tab of the model: the editor's state, its text field, the person who types, and the network.

import assert from "node:assert/strict";

import { reduce } from "../../captiv/gui/static/js/editing/reduce.js";
import { atRisk, empty, fieldOf, inConflict, shownPaper, unsaved } from "../../captiv/gui/static/js/editing/state.js";
import { IMAGES, LEFT_BREAK, lettersOf, readingsOf } from "./letters.js";

export class Tab {
  lives = 0;
  claims = 0;
  news = [];
  requests = [];

  constructor(world, name) {
    this.world = world;
    this.name = name;
    this.begin();
  }

  begin() {
    this.lives += 1;
    this.state = empty(true);
    this.value = "";
    this.selected = false;
    this.row = 0;
    this.news = [];
    this.taken = new Set();
    this.shownTo = new Map(IMAGES.map((id) => [id, new Set()]));
  }

  get composing() {
    return this.state.composing;
  }

  /** The image that the person looks at. */
  get image() {
    return this.state.open ? IMAGES[this.state.index] : undefined;
  }

  mayReplace(id, letter) {
    return this.world.typedOver.has(id) || this.shownTo.get(id).has(letter);
  }

  /** The person gave up what they typed on an image. */
  forgive(id) {
    const { world } = this;
    for (const [letter, { image, by }] of world.letters) if (image === id && by === this) world.released.add(letter);
  }

  feed(event) {
    const { state, effects } = reduce(this.state, event);
    this.state = state;
    this.look();
    for (const effect of effects) this.act(effect);
  }

  /** The view. */
  look() {
    const { state } = this;
    if (!state.composing) this.value = fieldOf(state);
    const paper = shownPaper(state);
    if (paper) for (const letter of lettersOf(paper.text)) this.shownTo.get(paper.id).add(letter);
    if (!this.world.alone) return;
    this.leaveBreaks(this.image);
    if (!paper || !state.open || state.composing) return;
    const known = paper.image !== null || paper.base !== null;
    if (known) this.checkShown(paper.id);
    assert(!inConflict(paper), "a conflict with oneself");
  }

  checkShown(id) {
    const wanted = this.world.wanted.get(id);
    // Blanks alone are no caption: saved, they are none.
    const shown = readingsOf(wanted).some(({ text }) => text.trimStart() === this.value.trimStart());
    assert(shown, `${id} shows ${JSON.stringify(this.value)}, not ${JSON.stringify(wanted)}`);
  }

  /** The person turns to one image, or to none. */
  leaveBreaks(here) {
    const { wanted } = this.world;
    for (const [id, text] of wanted) {
      if (id !== here) wanted.set(id, text.replace(/\n+$/, (breaks) => LEFT_BREAK.repeat(breaks.length)));
    }
  }

  act(effect) {
    const { storage } = this.world;
    const own = `${effect.id}:${this.name}.${this.lives}`;
    switch (effect.do) {
      case "keep":
        if (this.world.full) return this.feed({ type: "not kept", id: effect.id });
        storage.delete(effect.found);
        storage.set(own, { id: effect.id, tab: this, life: this.lives, draft: structuredClone(effect.draft) });
        return;
      case "drop": storage.delete(own); storage.delete(effect.found); return;
      case "select": this.selected = true; return;
      case "find": case "load": case "save": case "undo":
        this.requests.push({ ...effect, life: this.lives, answer: null });
    }
  }

  // -- the network -----------------------------------------------------------------------------------

  /** Takes one request a step further: to captiv, or its answer back. */
  deliver(n) {
    const at = n % (this.requests.length || 1);
    const request = this.requests[at];
    if (!request) return;
    if (!this.world.online) return this.lose(at);
    if (request.answer === null) {
      request.answer = this.world.serve(request, this, !this.world.alone && n === 11);
      return;
    }
    this.requests.splice(at, 1);
    if (request.life === this.lives) this.feed(this.answered(request));
  }

  answered({ do: what, row, index, id, ticket, answer }) {
    if (what === "find") return { type: "found", row, index, place: answer.place, draft: this.draftOf(answer.place.id) };
    if (answer.refused) return { type: "refused", id, ticket, ...answer.refused };
    return { type: what === "load" ? "loaded" : "saved", id, ticket, image: answer.image };
  }

  draftOf(id) {
    const { storage } = this.world;
    const mine = (kept) => kept.claimed && kept.tab === this;
    const found = [...storage].filter(([, kept]) => kept.id === id && (kept.life !== kept.tab.lives || mine(kept))).at(-1);
    if (!found) return null;
    const [key, { draft }] = found;
    for (const letter of lettersOf(draft.text)) this.taken.add(letter);
    if (this.world.full) return { ...structuredClone(draft), key };
    const claim = `${id}:${this.name}.${this.lives}:${(this.claims += 1)}`;
    storage.delete(key);
    storage.set(claim, { id, tab: this, life: this.lives, draft, claimed: true });
    return { ...structuredClone(draft), key: claim };
  }

  /** Loses a request, or its answer. */
  lose(n) {
    const [request] = this.requests.splice(n % (this.requests.length || 1), 1);
    if (!request || request.life !== this.lives) return;
    const { do: what, row, index, id, ticket } = request;
    const failure = { words: "lost", lost: true };
    if (what === "find") this.feed({ type: "not found", row, index, failure });
    else this.feed({ type: what === "load" ? "not loaded" : "not saved", id, ticket, failure });
  }

  hear() {
    const card = this.news.shift();
    if (card) this.feed({ type: "changed", card });
  }

  drain() {
    while (this.requests.length || this.news.length) {
      this.hear();
      this.deliver(0);
    }
  }

  // -- the person ------------------------------------------------------------------------------------

  open(index) {
    // Two rows may lead to one image; which letter was first is not known before the image is.
    if (Object.values(this.state.loose).some(({ text }) => text)) return;
    this.endComposition();
    this.leaveBreaks();
    this.feed({ type: "opened", row: (this.row += 1), total: IMAGES.length, index: index % IMAGES.length });
  }

  close() {
    this.feed({ type: "closed" });
  }

  /** Types at the end, as one letter, a pasted line break and letter, or through an input method. */
  type(text) {
    const { image, world } = this;
    if (!image) return;
    const letter = world.letter(image, this);
    this.replaceIfSelected(image);
    world.wanted.set(image, world.wanted.get(image) + text + letter);
    this.value += text + letter;
    this.feed({ type: "typed", text: this.value });
  }

  replaceIfSelected(image) {
    if (!this.selected) return;
    this.selected = false;
    this.forgive(image);
    this.world.letters.forEach((_, letter) => letter === [...this.world.letters.keys()].at(-1) && this.world.released.delete(letter));
    this.world.wanted.set(image, "");
    this.value = "";
  }

  /** Selects all, and types over it. */
  typeOver() {
    const { image, world } = this;
    if (!image || this.composing) return;
    const paper = shownPaper(this.state);
    if (!paper || (paper.image === null && paper.base === null)) world.typedOver.add(image);
    this.feed({ type: "selected all" });
    this.forgive(image);
    for (const letter of lettersOf(this.value)) world.released.add(letter);
    world.wanted.set(image, "");
    this.value = "";
    this.selected = false;
    this.type("");
  }

  backspace() {
    const { image, world } = this;
    const last = this.value.at(-1) ?? "";
    if (!image || lettersOf(last).length === 0 || world.letters.get(last).by !== this) return;
    world.released.add(last);
    world.wanted.set(image, world.wanted.get(image).slice(0, -1));
    this.value = this.value.slice(0, -1);
    this.feed({ type: "typed", text: this.value });
  }

  compose() {
    if (this.image && !this.composing) this.feed({ type: "composing" });
    this.type("");
  }

  endComposition() {
    if (this.composing) this.feed({ type: "composed", text: this.value });
  }

  next() {
    this.endComposition();
    const { state } = this;
    const paper = shownPaper(state);
    const stays = !state.open || state.index + 1 >= state.total || (paper !== null && inConflict(paper));
    if (!state.open) return;
    this.selected = false;
    this.feed({ type: "next" });
    assert.equal(this.state.index, state.index + (stays ? 0 : 1), "moving on is one step");
  }

  move(index) {
    if (!this.state.open) return;
    this.selected = false;
    this.feed({ type: "moved", index });
  }

  keepMine() {
    const paper = shownPaper(this.state);
    if (!paper?.image || !inConflict(paper) || this.composing) return;
    for (const letter of lettersOf(paper.image.caption ?? "")) this.shownTo.get(paper.id).add(letter);
    this.feed({ type: "keep mine" });
  }

  /** Gives up what is typed, or takes back what is saved. */
  giveUp(type) {
    if (!this.image || this.composing) return;
    const paper = shownPaper(this.state);
    if (this.world.alone && !(paper && unsaved(paper))) return;
    const released = new Set(this.world.released);
    if (paper) this.forgive(paper.id);
    for (const letter of lettersOf(this.value)) this.world.released.add(letter);
    if (this.world.alone) this.world.giveUp(paper);
    this.feed({ type });
    // What is shown again may have been replaced by somebody else before this tab heard of it.
    const own = (letter) => this.world.letters.get(letter).by === this && !released.has(letter);
    for (const letter of lettersOf(this.value)) if (own(letter)) this.world.released.delete(letter);
  }

  /** Saves, and wishes at once that one had not. */
  regret(type) {
    if (!this.state.open) return;
    this.type("");
    this.feed({ type: "save" });
    this.giveUp(type);
  }

  /** The tab is closed or dies, and is opened again. */
  restart(n) {
    const loose = Object.values(this.state.loose).filter(({ text }) => text);
    const unkept = Object.values(this.state.papers).filter((paper) => paper.unkept && unsaved(paper));
    assert.equal(atRisk(this.state), loose.length + unkept.length > 0, "the browser asks before letters are lost");
    for (const { index, text } of loose) this.world.lose(IMAGES[index], text);
    for (const { id, text } of unkept) this.world.giveLetters(id, text, this.taken);
    for (const request of this.requests) {
      if (request.answer === null && this.world.online && n % 2) this.world.serve(request, this);
    }
    this.requests = [];
    this.leaveBreaks();
    this.begin();
  }
}
