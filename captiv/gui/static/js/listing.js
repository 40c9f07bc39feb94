// What the gallery shows: a total, and the pages of it that somebody has looked at.
//
// captiv keeps the order of a listing as it was when it was asked for, so nothing moves under a
// person's hands; a page that is being fetched has its promise in the map, so that it is asked for
// once. "change" is dispatched when something that may be on the screen is different.

import { get, Refusal } from "./api.js";

export const PAGE = 100;
const MOST_NAMED = 400; // 17 characters each: addresses have an end

/**
 * @typedef {{id: string, name: string, caption: string|null, version: string, stamp: string,
 *   by?: string, failure?: string, trouble?: string}} Card
 * @typedef {{folder?: string, deep: boolean, show: string, text: string}} Filters
 */

export class Listing extends EventTarget {
  total = 0;
  /** Which state of the folder it shows. */
  version = -1;
  /** @type {Record<string, number>} */
  tally = {};
  /** @type {Filters} */
  filters = { deep: true, show: "all", text: "" };
  #id = "";
  /** @type {Map<number, (Card|null)[]|Promise<void>>} */
  #pages = new Map();
  /** @type {Map<string, number>} */
  #places = new Map();
  #asking = new AbortController();
  #drafts;

  /** @param {import("./drafts.js").Drafts} drafts */
  constructor(drafts) {
    super();
    this.#drafts = drafts;
  }

  /** captiv's name for it. */
  get id() {
    return this.#id;
  }

  /**
   * Makes a new listing. The old one is there until the new one has come, with the pages that are on
   * the screen; `leaving` is called at that moment.
   * @param {Filters} filters @param {number[]} [pages] @param {() => void} [leaving]
   */
  async make(filters, pages = [], leaving = () => {}) {
    this.#asking.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.filters = filters;
    const query = { folder: filters.folder, deep: filters.deep ? 1 : 0, show: filters.show, text: filters.text, unsaved: this.#drafts.ids.slice(0, MOST_NAMED).join(",") };
    const found = await get("/api/images", { ...query, limit: PAGE }, asking.signal);
    const wanted = pages.filter((number) => number > 0 && number * PAGE < found.total);
    const asked = wanted.map(async (number) => {
      const part = await get("/api/images", { list: found.list, offset: number * PAGE, limit: PAGE }, asking.signal);
      return { number, images: part.images };
    });
    const parts = await Promise.all(asked);
    leaving();
    this.#id = found.list;
    this.total = found.total;
    this.version = found.version;
    this.tally = found.tally;
    this.#pages.clear();
    this.#places.clear();
    this.#keep(0, found.images);
    for (const { number, images } of parts) this.#keep(number, images);
    this.dispatchEvent(new CustomEvent("made"));
  }

  /**
   * The image at a place; null if it is gone, undefined if it has not come yet: then it is fetched.
   * @param {number} index @returns {Card|null|undefined}
   */
  at(index) {
    const page = this.#pages.get(Math.floor(index / PAGE));
    if (Array.isArray(page)) return page[index % PAGE] ?? null;
    if (!page && index < this.total) this.#fetch(Math.floor(index / PAGE));
    return undefined;
  }

  /** The image at a place, fetched if need be; undefined if it could not be. @param {number} index */
  async get(index) {
    const number = Math.floor(index / PAGE);
    if (!this.#pages.has(number)) this.#fetch(number);
    await this.#pages.get(number);
    const page = this.#pages.get(number);
    return Array.isArray(page) ? (page[index % PAGE] ?? null) : undefined;
  }

  /** An image, as far as its page was looked at. @param {string} id */
  card(id) {
    const place = this.#places.get(id);
    const page = place === undefined ? undefined : this.#pages.get(Math.floor(place / PAGE));
    return Array.isArray(page) && place !== undefined ? page[place % PAGE] : undefined;
  }

  /** Where an image is, as far as its page was looked at. @param {string} id */
  place(id) {
    return this.#places.get(id);
  }

  /** Ids of a range of places, looked at or not. @param {number} from @param {number} to */
  async ids(from, to) {
    const found = await get(`/api/listings/${this.#id}/ids`, { offset: from, limit: to - from });
    return /** @type {string[]} */ (found.ids);
  }

  /** Takes in images that changed. @param {Card[]} cards */
  update(cards) {
    let shown = false;
    for (const card of cards) {
      const place = this.#places.get(card.id);
      if (place === undefined) continue;
      const page = this.#pages.get(Math.floor(place / PAGE));
      if (!Array.isArray(page)) continue;
      page[place % PAGE] = card;
      shown = true;
    }
    if (shown) this.dispatchEvent(new CustomEvent("change"));
  }

  /** @param {number} number */
  #fetch(number) {
    const id = this.#id;
    const task = (async () => {
      try {
        const found = await get("/api/images", { list: id, offset: number * PAGE, limit: PAGE });
        if (id !== this.#id) return;
        this.#keep(number, found.images);
        this.dispatchEvent(new CustomEvent("change"));
      } catch (error) {
        if (id !== this.#id) return;
        this.#pages.delete(number);
        if (error instanceof Refusal) this.dispatchEvent(new CustomEvent("refused", { detail: error }));
        else throw error;
      }
    })();
    this.#pages.set(number, task);
  }

  /** @param {number} number @param {(Card|null)[]} cards */
  #keep(number, cards) {
    this.#pages.set(number, cards);
    cards.forEach((card, at) => card && this.#places.set(card.id, number * PAGE + at));
  }
}
