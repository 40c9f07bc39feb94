import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { asFile, caretAfter, sameCaption, shownOf, tailOf } from "../../captiv/gui/static/js/editing/text.js";

const captions = fc.array(fc.constantFrom("a", "b", " ", "\n", "\r\n", "\r"), { maxLength: 12 }).map((parts) => parts.join(""));

test("the newlines at a file's end are not shown, and stay", () => {
  const caption = "one line\r\n";

  assert.equal(shownOf(caption, tailOf(caption)), "one line");
  assert.equal(asFile("one line, longer", caption, tailOf(caption)), "one line, longer\r\n");
});

test("a new line gets the line end that the file has", () => {
  assert.equal(asFile("one\ntwo\nthree", "one\r\ntwo", ""), "one\r\ntwo\r\nthree");
  assert.equal(asFile("one\ntwo", "one\r\n", "\r\n"), "one\r\ntwo\r\n");
  assert.equal(asFile("one\ntwo", "one", ""), "one\ntwo");
});

test("lines that were not touched keep line ends of their own", () => {
  assert.equal(asFile("one\n2\nthree", "one\ntwo\r\nthree", ""), "one\n2\r\nthree");
});

test("line ends that would melt into one are made alike", () => {
  assert.equal(asFile("one\n\nthree", "one\rtwo\nthree", ""), "one\n\nthree");
});

test("a text of blanks is no caption", () => {
  assert.equal(asFile(" \n", "was there\n", "\n"), null);
});

test("a caption that is shown and not touched goes back byte for byte", () => {
  fc.assert(
    fc.property(captions, (caption) => {
      const tail = tailOf(caption);
      const file = asFile(shownOf(caption, tail), caption, tail);
      assert.equal(file, shownOf(caption, tail).trim() ? caption : null);
    }),
  );
});

test("whatever is typed is what the field shows of the file that is made", () => {
  fc.assert(
    fc.property(captions, captions, (caption, other) => {
      const typed = shownOf(other, "");
      const tail = tailOf(caption);
      const file = asFile(typed, caption, tail);
      if (typed.trim()) assert.equal(shownOf(file, tail), typed);
    }),
    { numRuns: 5000 },
  );
});

test("captions are compared as captiv does", () => {
  assert(sameCaption("a\r\nb\n", "a\nb"));
  assert(!sameCaption("a b", "a  b"));
  assert(!sameCaption(null, ""));
});

test("the caret stays where it was in the text", () => {
  assert.equal(caretAfter("", "a caption", 0), 9, "at the end of a caption that came");
  assert.equal(caretAfter("a", "abca", 1), 4, "after what was typed, which a caption came before");
  assert.equal(caretAfter("a cat", "a cat sat", 5), 5);
  assert.equal(caretAfter("one two", "1 two", 4), 2);
});
