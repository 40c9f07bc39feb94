import assert from "node:assert/strict";
import { test } from "node:test";

import { reduce } from "../../captiv/gui/static/js/editing/reduce.js";
import { atRisk, empty, fieldOf, inConflict, rowsInUse, shownPaper, unsaved } from "../../captiv/gui/static/js/editing/state.js";

const LOST = { words: "captiv cannot be reached.", lost: true };

/** An image as captiv tells it. */
const image = (id, caption, more = {}) => ({
  id, name: `${id}.png`, caption, version: caption === null ? "none" : `v:${caption.trim()}`, stamp: "s", history: [], current: null, undoes: false, ...more,
});

/** An editor that is fed by hand. */
class Fed {
  constructor(may = true) {
    this.state = empty(may);
    this.effects = [];
  }

  feed(...events) {
    for (const event of events) {
      const { state, effects } = reduce(this.state, event);
      this.state = state;
      this.effects = effects;
      this.all = [...(this.all ?? []), ...effects];
    }
    return this;
  }

  /** Opens a row of these captions; which image is where is known. */
  open(captions, { load = true } = {}) {
    const ids = [..."abcdef"].slice(0, captions.length);
    this.feed({ type: "opened", row: 1, total: captions.length, index: 0 });
    ids.forEach((id, index) => this.find(index, id));
    if (load) ids.forEach((id, at) => this.load(id, captions[at]));
    return this;
  }

  find(index, id, draft = null) {
    return this.feed({ type: "found", row: 1, index, place: { id, stamp: "s", name: `${id}.png` }, draft });
  }

  load(id, caption, more) {
    const ticket = this.state.papers[id]?.loading;
    return ticket ? this.feed({ type: "loaded", id, ticket, image: image(id, caption, more) }) : this;
  }

  type(text) {
    return this.feed({ type: "typed", text });
  }

  last(what) {
    return this.all.filter((effect) => effect.do === what).at(-1);
  }

  saved(id, caption) {
    return this.feed({ type: "saved", id, ticket: this.state.papers[id].saving.ticket, image: image(id, caption) });
  }

  lose(id) {
    return this.feed({ type: "not saved", id, ticket: this.state.papers[id].saving.ticket, failure: LOST });
  }

  refuse(id, text) {
    return this.feed({ type: "refused", id, ticket: this.state.papers[id].saving.ticket, text, version: `v:${text}` });
  }

  get field() {
    return fieldOf(this.state);
  }

  get shown() {
    return shownPaper(this.state);
  }
}

test("moving on changes place, image and text in one step", () => {
  const editor = new Fed().open(["one", "two"]);

  editor.feed({ type: "moved", index: 1 });

  assert.equal(editor.state.index, 1);
  assert.equal(editor.shown.id, "b");
  assert.equal(editor.field, "two");
});

test("a place that is not known yet shows nothing of the image before", () => {
  const editor = new Fed().open(["one"]);
  editor.state = { ...editor.state, total: 9 };

  editor.feed({ type: "next" });

  assert.equal(editor.shown, null);
  assert.equal(editor.field, "");
  assert.deepEqual(editor.last("find"), { do: "find", row: 1, index: 1 });
});

test("what is typed before it is known for which image goes onto that one's paper", () => {
  const editor = new Fed().open(["one"]);
  editor.state = { ...editor.state, total: 9 };
  editor.feed({ type: "next" }).type("typed");
  assert(atRisk(editor.state));
  editor.feed({ type: "next" });

  editor.find(1, "b").load("b", null);

  assert.deepEqual(editor.last("save"), { do: "save", id: "b", ticket: editor.state.papers.b.saving.ticket, text: "typed", version: "none" });
  assert(!atRisk(editor.state));
});

test("what is typed before a caption is known is put at its end", () => {
  const editor = new Fed().open(["one"], { load: false }).type(", and more");

  editor.load("a", "one\n");

  assert.equal(editor.field, "one, and more");
  editor.feed({ type: "save" });
  assert.equal(editor.last("save").text, "one, and more\n");
});

test("what is typed over all before a caption is known replaces it", () => {
  const editor = new Fed().open(["one"], { load: false }).feed({ type: "selected all" }).type("another");

  editor.load("a", "one");

  assert.equal(editor.field, "another");
});

test("all is selected of a caption that comes after the keys for it", () => {
  const editor = new Fed().open(["one"], { load: false }).feed({ type: "selected all" });

  editor.load("a", "one");

  assert.deepEqual(editor.effects.map((effect) => effect.do), ["select"]);
});

test("a wish to save is kept until the caption is known", () => {
  const editor = new Fed().open([null, null], { load: false }).type("first").feed({ type: "next" });
  assert.equal(editor.last("save"), undefined);

  editor.load("a", null);

  assert.equal(editor.last("save").text, "first");
  assert.equal(editor.shown.id, "b");
});

test("a later save of an image begins from the version of the earlier one", () => {
  const editor = new Fed().open(["one", "two"]).type("one 1").feed({ type: "save" }).type("one 1 2").feed({ type: "next" });
  assert.equal(editor.all.filter((effect) => effect.do === "save").length, 1);

  editor.saved("a", "one 1");

  assert.equal(editor.last("save").text, "one 1 2");
  assert.equal(editor.last("save").version, "v:one 1");
});

test("a text that is taken back while it is being saved is taken back on the disk, too", () => {
  const editor = new Fed().open([null, "two"]).type("one").feed({ type: "next" }, { type: "moved", index: 0 }).type("").feed({ type: "closed" });

  editor.saved("a", "one");

  assert.deepEqual({ ...editor.last("save"), ticket: 0 }, { do: "save", id: "a", ticket: 0, text: null, version: "v:one" });
});

for (const [how, event] of [["moved", { type: "moved", index: 1 }], ["closed", { type: "closed" }], ["opened", { type: "opened", row: 2, total: 2, index: 1 }]]) {
  test(`leaving an image saves it: ${how}`, () => {
    const editor = new Fed().open(["one", "two"]).type("one, longer").feed(event);

    assert.equal(editor.last("save").text, "one, longer");
  });
}

test("a draft that was found and not touched is not saved by passing over it", () => {
  const editor = new Fed().feed({ type: "opened", row: 1, total: 2, index: 0 });
  editor.find(0, "a", { text: "half a", tail: "", version: "v:one", sent: [], key: "k" }).load("a", "one");
  assert.equal(editor.field, "half a");
  assert.equal(editor.shown.note.action, "discard");

  editor.feed({ type: "moved", index: 1 });

  assert.equal(editor.last("save"), undefined);
  assert.equal(editor.state.papers.a.text, "half a");
});

test("a draft is shown while its caption cannot be loaded", () => {
  const editor = new Fed().feed({ type: "opened", row: 1, total: 1, index: 0 });
  editor.find(0, "a", { text: "half a", tail: "", version: "v:one", sent: [], key: "k" });

  editor.feed({ type: "not loaded", id: "a", ticket: editor.shown.loading, failure: LOST });

  assert.equal(editor.field, "half a");
  assert.deepEqual(editor.shown.failure, LOST);
});

test("every letter is kept as a draft, and the draft dropped when it is saved", () => {
  const editor = new Fed().open(["one"]).type("one1");
  assert.deepEqual(editor.effects, [{ do: "keep", id: "a", draft: { text: "one1", tail: "", version: "v:one", sent: [] }, found: null }]);

  editor.feed({ type: "save" }).saved("a", "one1");

  assert.deepEqual(editor.effects[0], { do: "drop", id: "a", found: null });
  assert.equal(editor.shown.note.words, "Saved.");
});

test("a draft that was found goes with the text that was taken from it, once that is kept or saved", () => {
  const editor = new Fed().feed({ type: "opened", row: 1, total: 1, index: 0 });
  editor.find(0, "a", { text: "half a", tail: "", version: "v:one", sent: [], key: "k" });
  assert.equal(editor.last("keep").found, "k");
  editor.feed({ type: "not kept", id: "a" }).load("a", "one");

  editor.feed({ type: "save" }).saved("a", "half a");

  assert.deepEqual(editor.last("drop"), { do: "drop", id: "a", found: "k" });
});

test("a row is let go of once another one is opened and nothing is typed for its places", () => {
  const editor = new Fed().open(["one"]).feed({ type: "opened", row: 2, total: 9, index: 0 }).type("typed");
  assert.deepEqual([...rowsInUse(editor.state)], [2]);
  editor.feed({ type: "opened", row: 3, total: 9, index: 1 }, { type: "selected all" }, { type: "opened", row: 4, total: 9, index: 0 });
  assert.deepEqual([...rowsInUse(editor.state)], [4, 2]);

  editor.feed({ type: "found", row: 2, index: 0, place: { id: "b", stamp: "s" }, draft: null });

  assert.deepEqual([...rowsInUse(editor.state)], [4]);
});

test("what the browser would not keep is at risk", () => {
  const editor = new Fed().open(["one"]).type("one1");
  assert(!atRisk(editor.state));

  editor.feed({ type: "not kept", id: "a" });

  assert(atRisk(editor.state));
});

test("a lost save is made again when captiv is back", () => {
  const editor = new Fed().open(["one", "two"]).type("one1").feed({ type: "next" }).lose("a");
  assert.equal(editor.state.papers.a.text, "one1");

  editor.feed({ type: "again" });

  assert.equal(editor.last("save").text, "one1");
});

test("a text that arrived although its answer was lost is no conflict", () => {
  const editor = new Fed().open(["one"]).type("one1").feed({ type: "save" }).type("one12").lose("a").feed({ type: "again" });

  editor.refuse("a", "one1");

  assert(!inConflict(editor.shown));
  assert.deepEqual({ ...editor.last("save"), ticket: 0 }, { do: "save", id: "a", ticket: 0, text: "one12", version: "v:one1" });
});

test("another writer's text is shown beside one's own, and nothing is saved by itself", () => {
  const editor = new Fed().open(["one", "two"]).type("mine").feed({ type: "save" }).refuse("a", "theirs");
  assert(inConflict(editor.shown));
  const saves = () => editor.all.filter((effect) => effect.do === "save").length;

  editor.feed({ type: "next" });
  assert.equal(editor.shown.id, "a", "one stays to choose");
  editor.feed({ type: "moved", index: 1 }, { type: "again" });

  assert.equal(saves(), 1);
  editor.feed({ type: "moved", index: 0 }, { type: "keep mine" });
  assert.equal(saves(), 2);
  assert.equal(editor.last("save").version, "v:theirs");
});

test("what is typed on in conflict before it is known for which image is not saved over theirs", () => {
  const editor = new Fed().open(["one", "two"]).type("mine").feed({ type: "save" }).refuse("a", "theirs");
  editor.feed({ type: "opened", row: 2, total: 2, index: 0 }).type(" too").feed({ type: "next" });
  const saves = editor.all.filter((effect) => effect.do === "save").length;

  editor.feed({ type: "found", row: 2, index: 0, place: { id: "a", stamp: "s" }, draft: null });

  assert.equal(editor.state.papers.a.text, "mine too");
  assert.equal(editor.all.filter((effect) => effect.do === "save").length, saves);
});

test("a text that somebody replaced right after it was saved is not brought back, nor are letters typed since lost", () => {
  const editor = new Fed().open(["one"]).type("mine").feed({ type: "save" }).type("mine too").saved("a", "theirs");

  assert.equal(editor.field, "mine too");
  assert(inConflict(editor.shown));
});

test("a conflict that comes up behind one's back is told", () => {
  const editor = new Fed().open(["one", "two"]).type("mine").feed({ type: "next" }).refuse("a", "theirs");

  assert.match(editor.last("tell").words, /^a\.png was changed meanwhile/);
});

test("a caption that changes elsewhere is shown where nothing is typed", () => {
  const editor = new Fed().open(["one"]);

  editor.feed({ type: "changed", card: image("a", "other") }).load("a", "other");

  assert.equal(editor.field, "other");
  assert.match(editor.shown.note.words, /changed elsewhere/);
});

test("an older answer never replaces a newer one", () => {
  const editor = new Fed().open(["one"]).feed({ type: "again" });
  const old = editor.shown.loading;
  editor.feed({ type: "again" }).load("a", "newer");

  editor.feed({ type: "loaded", id: "a", ticket: old, image: image("a", "older") });

  assert.equal(editor.field, "newer");
});

test("an answer that was under way when a save ended is not believed", () => {
  const editor = new Fed().open(["one"]).type("one1").feed({ type: "save" }, { type: "again" });
  editor.state = { ...editor.state, papers: { a: { ...editor.shown, loading: 99 } } };
  editor.saved("a", "one1");

  editor.feed({ type: "loaded", id: "a", ticket: 99, image: image("a", "one") });

  assert.equal(editor.field, "one1");
});

test("nothing is written into the field while an input method is at work", () => {
  const editor = new Fed().open(["one"], { load: false }).feed({ type: "composing" }).type("k");
  editor.load("a", "one ");
  assert.equal(editor.field, "k");

  editor.feed({ type: "composed", text: "か" });

  assert.equal(editor.field, "one か");
});

test("a caption of CRLF lines is not changed by being opened, and keeps them", () => {
  const editor = new Fed().open(["one\r\ntwo\r\n"]);
  assert.equal(editor.field, "one\ntwo");
  assert(!unsaved(editor.shown));
  editor.feed({ type: "save" }, { type: "closed" });
  assert.equal(editor.last("save"), undefined);

  editor.feed({ type: "opened", row: 1, total: 1, index: 0 }).find(0, "a").load("a", "one\r\ntwo\r\n").type("one\ntwo 3").feed({ type: "save" });

  assert.equal(editor.last("save").text, "one\r\ntwo 3\r\n");
});

test("a newline at the end of what is typed stays while one goes on typing", () => {
  const editor = new Fed().open([null]).type("one\n").feed({ type: "save" }).saved("a", "one\n");

  assert.equal(editor.field, "one\n");
  assert(!unsaved(editor.shown));
});

test("a newline at the end of what was saved stays when the caption is looked at again", () => {
  const editor = new Fed().open([null]).type("one\n").feed({ type: "save" }).saved("a", "one\n").feed({ type: "again" });

  editor.load("a", "one\n", { by: "hand" });

  assert.equal(editor.field, "one\n");
  assert.equal(editor.shown.image.by, "hand");
});

test("what is typed on an image that is come back to stands before the newline that ends its file", () => {
  const editor = new Fed().open([null, "plain"]);
  editor.feed({ type: "moved", index: 1 }).type("plain\n").feed({ type: "opened", row: 2, total: 2, index: 0 }).saved("b", "plain\n");
  editor.feed({ type: "next" }).type("k").feed({ type: "closed" });

  editor.feed({ type: "found", row: 2, index: 1, place: { id: "b", stamp: "s" }, draft: null }).load("b", "plain\n");

  assert.deepEqual([editor.last("save").id, editor.last("save").text], ["b", "plaink\n"]);
});

test("a draft knows which newlines end its file, and which were typed", () => {
  const editor = new Fed().open(["one\n"]).type("one 1\n").feed({ type: "save" });
  const { draft } = editor.last("keep");
  const other = new Fed().feed({ type: "opened", row: 1, total: 1, index: 0 }).find(0, "a", { ...draft, key: "k" });

  other.type("one 1\n2").load("a", "one 1\n\n").feed({ type: "save" });

  assert.equal(other.last("save").text, "one 1\n2\n");
});

test("an empty text removes the caption", () => {
  const editor = new Fed().open(["one"]).type(" ").feed({ type: "save" });
  assert.equal(editor.last("save").text, null);

  editor.saved("a", null);

  assert.equal(editor.field, "");
  assert.match(editor.shown.note.words, /^Caption removed/);
});

test("undo gives up what is typed, and says how to have it back", () => {
  const editor = new Fed().open(["one"]).type("one1").feed({ type: "undo" });
  assert.equal(editor.field, "one");
  assert.deepEqual(editor.shown.note, { words: "Your unsaved text was discarded.", action: "use", text: "one1" });

  editor.feed({ type: "used", text: "one1" });

  assert.equal(editor.field, "one1");
});

test("undo asks for the caption before, and never over what is typed meanwhile", () => {
  const editor = new Fed().open(["one"]);
  editor.feed({ type: "again" }).load("a", "one", { undoes: true }).feed({ type: "undo" });
  assert.equal(editor.last("undo").version, "v:one");
  editor.type("one1");

  editor.saved("a", "before");

  assert.equal(editor.field, "one1");
  assert(inConflict(editor.shown));
});

test("the first caption by hand is undone by removing it", () => {
  const editor = new Fed().open([null]);
  editor.feed({ type: "again" }).load("a", "one", { by: "hand", history: [{}] }).feed({ type: "undo" });

  assert.deepEqual({ ...editor.last("save"), ticket: 0 }, { do: "save", id: "a", ticket: 0, text: null, version: "v:one" });
});

test("a caption that is typed on is not made again by a model", () => {
  const editor = new Fed().open(["one"]).type("one1").feed({ type: "caption" });
  assert.equal(editor.last("tell caption"), undefined);
  assert(editor.shown.note.trouble);

  editor.feed({ type: "discard" }, { type: "caption" });

  assert.equal(editor.last("tell caption").image.id, "a");
});

/** An editor in which a text was given up while it was being saved. */
const regretted = (before = "one", how = "undo") => new Fed().open([before, "two"]).type("mine").feed({ type: "save" }, { type: how });

test("a text that is given up while it is being saved is not left in the file", () => {
  const editor = regretted();
  assert.equal(editor.field, "one");
  assert.equal(editor.all.filter((effect) => effect.do === "save").length, 1);

  editor.saved("a", "mine");
  assert.deepEqual({ ...editor.last("save"), ticket: 0 }, { do: "save", id: "a", ticket: 0, text: "one", version: "v:mine" });
  editor.saved("a", "one");

  assert(!unsaved(editor.shown));
  assert.deepEqual(editor.shown.note, { words: "Your unsaved text was discarded.", action: "use", text: "mine" });
  assert.equal(editor.effects.filter((effect) => effect.do === "drop").length, 1);
});

test("no caption is there again after a first one was given up while it was being saved", () => {
  const editor = regretted(null, "discard").saved("a", "mine");

  assert.equal(editor.last("save").text, null);
});

test("a caption that is there again has the line ends that it had", () => {
  const editor = regretted("one\r\ntwo").saved("a", "mine");

  assert.equal(editor.last("save").text, "one\r\ntwo");
  editor.saved("a", "one\r\ntwo");
  assert.equal(editor.field, "one\ntwo");
});

test("an answer that crosses a save tells nothing, but that captiv is to be asked again", () => {
  const editor = new Fed().open(["one"]).feed({ type: "again" }).type("mine").feed({ type: "save" });
  const { saving } = editor.shown;

  editor.load("a", "mine").feed({ type: "discard" });

  assert.equal(editor.field, "one");
  editor.feed({ type: "saved", id: "a", ticket: saving.ticket, image: image("a", "mine") });
  assert.equal(editor.last("save").text, "one");
  editor.saved("a", "one");
  assert(!unsaved(editor.shown));
});

test("a text that was given up and may have arrived is looked for, and taken back if it is there", () => {
  const editor = regretted().lose("a").feed({ type: "again" });
  assert.equal(editor.all.filter((effect) => effect.do === "save").length, 1);
  assert.equal(editor.shown.note.text, "mine", "it can be had back");

  editor.load("a", "mine");

  assert.deepEqual({ ...editor.last("save"), ticket: 0 }, { do: "save", id: "a", ticket: 0, text: "one", version: "v:mine" });
  editor.saved("a", "one");
  assert(!editor.shown.note.trouble);
});

test("a text that was given up and never arrived needs no save", () => {
  const editor = regretted().lose("a").feed({ type: "again" }).load("a", "one");

  assert.equal(editor.all.filter((effect) => effect.do === "save").length, 1);
  assert(!unsaved(editor.shown) && !editor.shown.wish);
});

test("what was asked for before a save that was lost does not tell whether it arrived", () => {
  const editor = new Fed().open(["one"]).feed({ type: "again" });
  const early = editor.shown.loading;
  editor.type("mine").feed({ type: "save" }, { type: "discard" }).lose("a");

  editor.feed({ type: "loaded", id: "a", ticket: early, image: image("a", "one") });

  assert(unsaved(editor.shown), "it is not known yet");
  editor.load("a", "mine");
  assert.equal(editor.last("save").text, "one");
});

test("another writer's caption stays where a text was given up", () => {
  const editor = regretted().refuse("a", "theirs");

  assert.equal(editor.field, "theirs");
  assert(!inConflict(editor.shown) && !editor.shown.wish);
});

test("a text that was given up twice is given up once", () => {
  const editor = regretted().feed({ type: "undo" });

  assert.equal(editor.shown.note.text, "mine");
});

test("a text that is brought back while it is taken back is saved when it is asked for", () => {
  const editor = regretted().feed({ type: "used", text: "mine" }).saved("a", "mine");
  assert.equal(editor.field, "mine");
  assert(!unsaved(editor.shown));

  const other = regretted().type("another").saved("a", "mine");

  assert.equal(other.field, "another");
  assert.equal(other.all.filter((effect) => effect.do === "save").length, 1, "nobody asked for more");
});

test("a text that captiv would not save and that was given up leaves nothing behind", () => {
  const editor = regretted();

  editor.feed({ type: "not saved", id: "a", ticket: editor.shown.saving.ticket, failure: { words: "The disk is full.", lost: false } });

  assert(!unsaved(editor.shown));
  assert.equal(editor.shown.note.text, "mine");
});

test("a text that was given up in a tab that is no more is no draft where it did not arrive", () => {
  const { draft } = regretted().last("keep");
  const other = new Fed().feed({ type: "opened", row: 1, total: 1, index: 0 }).find(0, "a", { ...draft, key: "k" });

  other.load("a", "one");

  assert(!unsaved(other.shown));
  assert.equal(other.last("save"), undefined);
});

test("a caption that changes again and again is shown: one answer at a time counts", () => {
  const editor = new Fed().open(["one"]).feed({ type: "changed", card: image("a", "two") });
  const first = editor.shown.loading;
  for (const event of [{ type: "changed", card: image("a", "three") }, { type: "changed more" }, { type: "changed more" }]) editor.feed(event);

  editor.feed({ type: "loaded", id: "a", ticket: first, image: image("a", "two") });

  assert.equal(editor.field, "two");
  editor.load("a", "three");
  assert.equal(editor.field, "three");
  assert.equal(editor.shown.loading, 0);
});

test("what changed while a save was under way is looked at after it", () => {
  const editor = new Fed().open(["one"]).type("mine").feed({ type: "save" }, { type: "changed more" });
  assert.equal(editor.shown.loading, 0);

  editor.saved("a", "mine").load("a", "theirs");

  assert.equal(editor.field, "theirs");
});

test("an image that is gone says so, and letters for it are told", () => {
  const editor = new Fed().feed({ type: "opened", row: 1, total: 2, index: 0 }).type("lost words");

  editor.feed({ type: "found", row: 1, index: 0, place: null, draft: null });

  assert(editor.state.failure.gone);
  assert.match(editor.last("tell").words, /lost words/);
});

test("the last image says that it is the last", () => {
  const editor = new Fed().open([null]).type("one").feed({ type: "next" }).saved("a", "one");

  assert.equal(editor.shown.note.words, "Saved. This was the last image.");
});

test("captions of the next two images and the one before are loaded ahead", () => {
  const editor = new Fed().feed({ type: "opened", row: 1, total: 9, index: 4 }).find(4, "a");

  const asked = editor.all.filter((effect) => effect.do === "find").map((effect) => effect.index);

  assert.deepEqual(asked, [4, 5, 6, 3]);
});

test("a visitor who may only look has no drafts", () => {
  const editor = new Fed(false).feed({ type: "opened", row: 1, total: 1, index: 0 });
  editor.find(0, "a", { text: "half a", tail: "", version: "v:one", sent: [], key: "k" }).load("a", "one");

  assert.equal(editor.field, "one");
});
