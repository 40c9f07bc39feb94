// Texts that were typed and not saved: kept in this browser, image by image, until they are saved or
// given up. A draft knows the version of the caption that it began from.
//
// Each tab has a key of its own for an image, so that no tab writes over what another one keeps. While a
// tab is there it holds a lock by its name: only what tabs left that are no more is taken up by others.
// Nothing is forgotten but by the person.

const PREFIX = "captiv:draft:";

/**
 * @typedef {import("./editing/state.js").Draft} Draft
 * @typedef {import("./editing/state.js").KeptDraft} KeptDraft
 */

/** Dispatches "change" when other images than before have drafts. */
export class Drafts extends EventTarget {
  #tab = [...crypto.getRandomValues(new Uint32Array(2))].map((n) => n.toString(36)).join("");
  #claims = 0;
  /** The image of each key. @type {Map<string, string>} */
  #keys = new Map();

  constructor() {
    super();
    this.#read();
    addEventListener("storage", (event) => {
      if (event.key !== null && !event.key.startsWith(PREFIX)) return;
      const before = this.ids.sort().join();
      this.#read();
      if (this.ids.sort().join() !== before) this.#tell(); // not for each letter that is typed elsewhere
    });
    navigator.locks?.request(PREFIX + this.#tab, () => new Promise(() => {})).catch(() => {});
  }

  /** The images that have drafts. */
  get ids() {
    return [...new Set(this.#keys.values())];
  }

  /**
   * The newest draft of an image that a tab left which is no more. It is this tab's from then on, under a
   * key of its own, which is to be named once its text is kept anew or dropped.
   * @param {string} id @returns {Promise<KeptDraft|null>}
   */
  async left(id) {
    if (!this.ids.includes(id)) return null;
    const tabs = await this.#tabs();
    const keys = [...this.#keys].filter(([key, image]) => image === id && key !== this.#own(id)).map(([key]) => key);
    const claimed = keys.filter((key) => tabOf(key) === this.#tab || !tabs.has(tabOf(key)));
    const found = claimed.map(read).filter((draft) => draft !== null);
    const [newest] = found.sort((a, b) => b.at - a.at);
    return newest ? this.#claim(id, newest) : null;
  }

  /** @param {string} id @param {KeptDraft} draft */
  #claim(id, draft) {
    this.#claims += 1;
    const key = `${this.#own(id)}:${this.#claims}`;
    try {
      localStorage.setItem(key, JSON.stringify(draft));
    } catch {
      return draft; // there is no room for a second one: it stays where it is
    }
    this.#keys.set(key, id);
    this.#dropKey(draft.key);
    return { ...draft, key };
  }

  /** The other tabs that are there; none where the browser does not tell, as on plain http from afar. */
  async #tabs() {
    const found = await navigator.locks?.query().catch(() => null);
    return new Set((found?.held ?? []).map(({ name }) => name?.slice(PREFIX.length)));
  }

  /** Keeps a draft in place of one that was found; returns whether the browser would. @param {string} id @param {Draft} draft @param {string|null} found */
  keep(id, draft, found) {
    const key = this.#own(id);
    try {
      localStorage.setItem(key, JSON.stringify({ ...draft, at: Date.now() }));
    } catch {
      return false; // what was found stays
    }
    const first = !this.#keys.has(key);
    this.#keys.set(key, id);
    if (first) this.#tell();
    if (found) this.#dropKey(found);
    return true;
  }

  /** Drops a draft, and the one that it was found in. @param {string} id @param {string|null} found */
  drop(id, found) {
    this.#dropKey(this.#own(id));
    if (found) this.#dropKey(found);
  }

  /** @param {string} key */
  #dropKey(key) {
    try {
      localStorage.removeItem(key);
    } catch {
      // a browser that keeps nothing has nothing to drop
    }
    if (this.#keys.delete(key)) this.#tell();
  }

  /** @param {string} id */
  #own(id) {
    return `${PREFIX}${id}:${this.#tab}`;
  }

  #read() {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
      this.#keys = new Map(keys.map((key) => [key, imageOf(key)]));
    } catch {
      // as above
    }
  }

  #tell() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

/** @param {string} key */
const imageOf = (key) => key.slice(PREFIX.length).split(":")[0];

/** @param {string} key */
const tabOf = (key) => key.slice(PREFIX.length).split(":")[1];

/** @param {string} key @returns {(KeptDraft & {at: number})|null} */
function read(key) {
  try {
    const found = JSON.parse(localStorage.getItem(key) ?? "null");
    if (typeof found?.text !== "string" || typeof found.version !== "string") return null;
    return { tail: "", sent: [], at: 0, ...found, key };
  } catch {
    return null;
  }
}
