// How many of the selected images are out of sight: a filter may hide what was selected before.

import { send } from "./api.js";
import { count, plural, settled } from "./dom.js";

const PAUSE_MS = 120;

/** Dispatches "change" when the number is another one. */
export class Sight extends EventTarget {
  /** As last counted. */
  hidden = 0;
  #selection;
  #listing;
  #ticket = 0;

  /** @param {import("./selection.js").Selection} selection @param {import("./listing.js").Listing} listing */
  constructor(selection, listing) {
    super();
    this.#selection = selection;
    this.#listing = listing;
    const soon = settled(() => this.count().catch(() => {}), PAUSE_MS);
    selection.addEventListener("change", soon);
    listing.addEventListener("made", soon);
  }

  /** Counts anew. captiv is asked only of images whose page was not looked at. */
  async count() {
    const ticket = ++this.#ticket;
    const unknown = this.#selection.ids.filter((id) => this.#listing.place(id) === undefined);
    const asked = unknown.length > 0 && this.#listing.id;
    const hidden = asked ? (await send("POST", `/api/listings/${this.#listing.id}/unseen`, { images: unknown })).unseen : 0;
    if (ticket === this.#ticket && hidden !== this.hidden) {
      this.hidden = hidden;
      this.dispatchEvent(new CustomEvent("change"));
    }
    return /** @type {number} */ (hidden);
  }

  /** The selection in words. @param {number} [hidden] */
  words(hidden = this.hidden) {
    return `${plural(this.#selection.size, "selected image")}${outOfSight(hidden)}`;
  }
}

/** @param {number} hidden */
export const outOfSight = (hidden) => (hidden ? `, ${count(hidden)} of them out of sight` : "");
