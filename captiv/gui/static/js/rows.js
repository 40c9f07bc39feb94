// Where the editor goes from image to image. A row stays as it was when the editor was opened, whatever
// becomes of the listing, and it knows which images come next while captiv cannot be reached.

import { Refusal, unreached } from "./api.js";

/**
 * @typedef {import("./listing.js").Listing} Listing
 * @typedef {import("./editor.js").Row} Row
 */

const AHEAD = 1000;

/** The images that a listing shows now. @param {Listing} listing @param {number} index where one begins @returns {Row} */
export function listingRow(listing, index) {
  const { id, total } = listing;
  const first = Math.max(0, index - AHEAD);
  const ids = listing.ids(first, Math.min(total, index + AHEAD)).catch(() => /** @type {string[]} */ ([]));
  const card = async (/** @type {number} */ at) => {
    const found = listing.id === id ? await listing.get(at) : undefined;
    if (found !== undefined && listing.id === id) return found;
    const known = (await ids)[at - first];
    if (known === undefined) throw unknown(listing.id === id);
    return listing.card(known) ?? { id: known, stamp: "" };
  };
  return { total, card };
}

/** Images that were chosen. @param {Listing} listing @param {string[]} ids @returns {Row} */
export function selectionRow(listing, ids) {
  return { total: ids.length, card: async (at) => listing.card(ids[at]) ?? { id: ids[at], stamp: "" } };
}

/** @param {boolean} same whether the listing is still the one that the row was made of */
function unknown(same) {
  if (same) return unreached();
  return new Refusal(404, { code: "moved", detail: "The gallery now shows other images. Close the editor and open the image again." });
}
