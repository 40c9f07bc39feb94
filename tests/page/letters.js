// The images of the model, and its letters: each one that is typed is another character, so that one
// which is lost, doubled or in another image's file is seen.

export const IMAGES = ["a", "b", "c", "d"];
/** No caption; lines with each kind of end; a newline at the end, or none. */
export const CAPTIONS = [null, "one\r\ntwo\r\n", "one line\n", "plain"];
export const OTHER = "somebody else";

/**
 * A line break that was typed last and left there. Whoever comes back finds it at the file's end, where the
 * field does not show it, unless the text was still kept: what is typed then stands before it, or after it.
 */
export const LEFT_BREAK = "\u2028";

const FIRST = 0x4e00;

/** @param {number} n */
export const letter = (n) => String.fromCodePoint(FIRST + n);

/** @param {string} text */
export const lettersOf = (text) => [...text].filter((one) => one.codePointAt(0) >= FIRST);

/** The texts that may be shown, each with the line breaks that went to the file's end. @param {string} wanted */
export function readingsOf(wanted) {
  const [first, ...rest] = wanted.split(LEFT_BREAK);
  let found = [{ text: first, ended: "" }];
  for (const part of rest) {
    found = found.flatMap(({ text, ended }) => [{ text: `${text}\n${part}`, ended }, { text: text + part, ended: `${ended}\n` }]);
  }
  return found;
}
