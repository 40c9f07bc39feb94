// Which images are selected: by id, so that a selection outlives a listing.

export class Selection extends EventTarget {
  /** @type {Set<string>} */
  #ids = new Set();

  get size() {
    return this.#ids.size;
  }

  get ids() {
    return [...this.#ids];
  }

  /** @param {string} id */
  has(id) {
    return this.#ids.has(id);
  }

  /** @param {string} id */
  toggle(id) {
    if (!this.#ids.delete(id)) this.#ids.add(id);
    this.#tell();
  }

  /** @param {Iterable<string>} ids */
  add(ids) {
    for (const id of ids) this.#ids.add(id);
    this.#tell();
  }

  /** @param {Iterable<string>} ids */
  set(ids) {
    this.#ids = new Set(ids);
    this.#tell();
  }

  clear() {
    if (!this.#ids.size) return;
    this.#ids.clear();
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}
