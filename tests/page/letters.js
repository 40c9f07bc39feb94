// The images of the model, and its letters: each one that is typed is another character, so that one
// which is lost, doubled or in another image's file is seen.

export const IMAGES = ["a", "b", "c", "d"];
/** No caption; lines with each kind of end; a newline at the end, or none. */
export const CAPTIONS = [null, "one\r\ntwo\r\n", "one line\n", "plain"];
export const OTHER = "somebody else";

const FIRST = 0x4e00;

/** @param {number} n */
export const letter = (n) => String.fromCodePoint(FIRST + n);

/** @param {string} text */
export const lettersOf = (text) => [...text].filter((one) => one.codePointAt(0) >= FIRST);
