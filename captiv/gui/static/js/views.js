// Which view is shown: every element with `data-view`, under `#/name`. With more than one there are links
// in the header. Views that this session may not use are as if they were not there.

import { byId, el } from "./dom.js";
import { may } from "./rights.js";

export class Views extends EventTarget {
  #views = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-view]")]).filter((view) => may(view.dataset.needs));

  constructor() {
    super();
    const nav = byId("views");
    nav.hidden = this.#views.length < 2;
    const links = this.#views.map((view) => el("a", { href: `#/${view.dataset.view}` }, view.dataset.title ?? ""));
    nav.replaceChildren(...links);
    addEventListener("hashchange", () => this.show());
    this.show();
  }

  /** The name of the view that is shown; the first one where the address names none. */
  get shown() {
    const name = /^#\/([a-z-]+)/.exec(location.hash)?.[1];
    return this.#views.some((view) => view.dataset.view === name) ? name : this.#views[0]?.dataset.view;
  }

  show() {
    const name = this.shown;
    document.body.dataset.view = name;
    for (const view of this.#views) view.hidden = view.dataset.view !== name;
    for (const link of byId("views").children) {
      if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.dispatchEvent(new CustomEvent("show", { detail: name }));
  }

  /** Puts a number beside a view's name, with what it means. @param {string} name @param {string} number @param {string} words */
  mark(name, number, words) {
    const link = byId("views").querySelector(`[href="#/${name}"]`);
    const shown = link?.querySelector(".busy");
    if (!link || shown?.textContent === number) return;
    shown?.remove();
    link.querySelector(".sr")?.remove();
    if (number) link.append(el("span", { class: "busy" }, number), el("span", { class: "sr" }, ` ${words}`));
  }
}
