// What became of a text, word by word.

/** @typedef {{kind: "same"|"gone"|"new", text: string}} Piece */

const MOST = 400;

/**
 * The pieces of `before` and `after`, in order: what both have, what is gone, what is new.
 * @param {string} before @param {string} after @returns {Piece[]}
 */
export function difference(before, after) {
  const a = words(before);
  const b = words(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = between(a.slice(start, a.length - end), b.slice(start, b.length - end));
  /** @type {Piece[]} */
  const pieces = [
    { kind: "same", text: a.slice(0, start).join("") },
    ...middle,
    { kind: "same", text: a.slice(a.length - end).join("") },
  ];
  return joined(pieces);
}

/** Words, blanks and marks each for itself. @param {string} text */
function words(text) {
  return text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
}

/** The longest common run of words; of very long texts, all gone and all new. @param {string[]} a @param {string[]} b @returns {Piece[]} */
function between(a, b) {
  if (!a.length || !b.length || a.length > MOST || b.length > MOST) {
    return [
      { kind: "gone", text: a.join("") },
      { kind: "new", text: b.join("") },
    ];
  }
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  /** @type {Piece[]} */
  const pieces = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      pieces.push({ kind: "same", text: a[i] });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) {
      pieces.push({ kind: "gone", text: a[i] });
      i += 1;
    } else {
      pieces.push({ kind: "new", text: b[j] });
      j += 1;
    }
  }
  return pieces;
}

/** Neighbours of one kind together. @param {Piece[]} pieces */
function joined(pieces) {
  /** @type {Piece[]} */
  const found = [];
  for (const piece of pieces) {
    if (!piece.text) continue;
    const last = found.at(-1);
    if (last?.kind === piece.kind) last.text += piece.text;
    else found.push({ ...piece });
  }
  return found;
}
