// A caption as its file has it, and as it is edited.
//
// A text field knows one line end, LF, and a newline at the end of the file would be a second, empty
// line in it. So the field gets the text without the file's last newlines, and what was typed goes
// back with the file's own line ends and last newlines.

const LINE_END = /\r\n|\r|\n/g;

/** @param {string} text */
export const unified = (text) => text.replace(LINE_END, "\n");

/** The newlines that end a file. @param {string|null} caption */
export const tailOf = (caption) => /[\r\n]*$/.exec(caption ?? "")?.[0] ?? "";

/**
 * What the field shows of a caption whose file ends in `tail`.
 * @param {string|null} caption @param {string} tail
 */
export const shownOf = (caption, tail) => unified(bodyOf(caption, tail));

/** @param {string|null} caption @param {string} tail */
function bodyOf(caption, tail) {
  const text = caption ?? "";
  return text.endsWith(tail) ? text.slice(0, text.length - tail.length) : text;
}

/**
 * What goes into the file: null for no caption. Lines that were not touched keep their own line ends.
 * @param {string} typed @param {string|null} caption what is in the file @param {string} tail
 */
export function asFile(typed, caption, tail) {
  if (!typed.trim()) return null;
  const held = caption ?? "";
  if (!held.includes("\r")) return typed + tail;
  const lineEnd = held.includes("\r\n") ? "\r\n" : "\r";
  const body = bodyOf(caption, tail);
  const before = unified(body);
  const start = alike(before, typed);
  const end = alike(reversed(before.slice(start)), reversed(typed.slice(start)));
  const middle = typed.slice(start, typed.length - end).replaceAll("\n", lineEnd);
  const places = placesOf(body);
  const file = body.slice(0, places[start]) + middle + body.slice(places[before.length - end]) + tail;
  // Where a CR alone came to stand before an LF they would be one line end.
  return shownOf(file, tail) === typed ? file : typed + tail;
}

/** How many characters two texts begin with alike. @param {string} a @param {string} b */
function alike(a, b) {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}

/** @param {string} text */
const reversed = (text) => text.split("").reverse().join("");

/** Where each character of the unified text, and its end, is in the text. @param {string} text */
function placesOf(text) {
  const places = [];
  for (let at = 0; at < text.length; at += 1) {
    places.push(at);
    if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
  }
  places.push(text.length);
  return places;
}

/**
 * Whether captiv takes two texts for the same caption (`content_hash` in `captiv/core/texts.py`).
 * @param {string|null} a @param {string|null} b
 */
export function sameCaption(a, b) {
  if (a === null || b === null) return a === b;
  return unified(a).trim() === unified(b).trim();
}

/**
 * Where the caret stands once the field shows another text: what was right of it still is, as where a
 * caption came before what was typed; else what was left of it, if that is the same.
 * @param {string} before @param {string} after @param {number} caret
 */
export function caretAfter(before, after, caret) {
  const fromEnd = Math.max(0, after.length - (before.length - caret));
  if (after.endsWith(before)) return fromEnd;
  return after.startsWith(before.slice(0, caret)) ? caret : fromEnd;
}
