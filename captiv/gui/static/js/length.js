// How long a caption is. Words are counted; tokens are estimated, as no tokenizer is in the browser:
// CLIP's, which many trainers use, splits as here, gives most words one token and long ones several,
// and takes 75.

const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;
export const CLIP_TOKENS = 75;

/** @param {string} text */
export function words(text) {
  return text.trim() ? text.trim().split(/\s+/u).length : 0;
}

/** @param {string} text */
export function clipTokens(text) {
  let tokens = 0;
  for (const piece of text.match(PIECES) ?? []) {
    if (/^[\p{ASCII}]+$/u.test(piece)) tokens += piece.length <= 9 ? 1 : Math.ceil(piece.length / 6);
    else tokens += Math.ceil(new TextEncoder().encode(piece).length / 2);
  }
  return tokens;
}
