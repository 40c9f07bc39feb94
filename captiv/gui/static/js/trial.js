// Two models on a sample, side by side: two runs that save nothing, and the captions as they come.

import { get, picture, Refusal, send } from "./api.js";
import { byId, el, plural } from "./dom.js";
import { choices, modesOf, modeTitle } from "./wish.js";

const LOOK_MS = 700;
const SIDES = /** @type {const} */ (["one", "other"]);

export class Trial extends EventTarget {
  dialog = /** @type {HTMLDialogElement} */ (byId("trial"));
  #form = /** @type {HTMLFormElement} */ (byId("trial-form"));
  /** @type {import("./wish.js").Catalog|null} */
  #catalog = null;
  /** @type {any} */
  #asked = {};
  /** What each side was asked with. @type {Record<string, any>} */
  #sides = {};
  #ticket = 0;

  constructor() {
    super();
    this.#form.addEventListener("input", (event) => this.#changed(/** @type {HTMLInputElement} */ (event.target).name));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    byId("trial-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => (this.#ticket += 1));
    for (const side of SIDES) byId(`trial-take-${side}`).addEventListener("click", () => this.#take(side));
  }

  /** @param {import("./wish.js").WishForm} wish @param {any} asked */
  show(wish, asked) {
    this.#catalog = wish.catalog;
    this.#asked = asked;
    byId("trial-one").textContent = title(asked);
    const others = (wish.catalog?.models ?? []).map((family) => /** @type {[string, string]} */ ([family.name, family.title]));
    choices(/** @type {HTMLSelectElement} */ (byId("trial-model")), others, others.find(([name]) => name !== asked.model)?.[0]);
    this.#changed("model");
    byId("trial-table").hidden = true;
    byId("trial-status").textContent = "Both caption the same images, spread over all that you chose.";
    this.#wrong("");
    this.dialog.showModal();
  }

  get #family() {
    const name = /** @type {HTMLSelectElement} */ (byId("trial-model")).value;
    return this.#catalog?.models.find((family) => family.name === name);
  }

  /** @param {string} name */
  #changed(name) {
    const family = this.#family;
    if (!family) return;
    const variant = /** @type {HTMLSelectElement} */ (byId("trial-variant"));
    const chosen = this.#catalog?.chosen.families[family.name];
    if (name === "model") choices(variant, family.variants.map((v) => [v.name, v.name]), chosen?.variant ?? family.default_variant);
    if (name === "model" || name === "variant") {
      const modes = modesOf(family, variant.value).map((mode) => /** @type {[string, string]} */ ([mode.name, modeTitle(mode)]));
      choices(/** @type {HTMLSelectElement} */ (byId("trial-mode")), modes, chosen?.mode ?? family.default_mode);
    }
  }

  /** The second wish: of the first one, what the other model has as well. */
  get #other() {
    const data = new FormData(this.#form);
    const { options, variables, length, prompt, ...rest } = this.#asked;
    const same = data.get("model") === this.#asked.model;
    const kept = same ? { options, variables, length } : {};
    return { ...rest, ...kept, model: data.get("model"), variant: data.get("variant"), mode: data.get("mode") };
  }

  async #begin() {
    const ticket = ++this.#ticket;
    const sample = Number(new FormData(this.#form).get("sample")) || 6;
    const trial = { sample, save: false, overwrite: "all", add: null };
    this.#sides = { one: this.#asked, other: this.#other };
    this.#wrong("");
    byId("trial-status").textContent = "Beginning…";
    try {
      const runs = [];
      for (const side of SIDES) runs.push(await send("POST", "/api/runs", { ...this.#sides[side], ...trial }));
      for (const side of SIDES) byId(`trial-head-${side}`).textContent = title(this.#sides[side]);
      byId("trial-rows").replaceChildren();
      byId("trial-table").hidden = false;
      await this.#watch(ticket, runs.map((run) => run.id));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      byId("trial-status").textContent = "";
      this.#wrong(`${error.message} ${error.hint}`);
    }
  }

  /** Shows captions as they come. @param {number} ticket @param {number[]} ids */
  async #watch(ticket, ids) {
    /** @type {Map<string, {name: string, one?: string, other?: string}>} */
    const rows = new Map();
    for (;;) {
      const runs = await Promise.all(ids.map((id) => get(`/api/runs/${id}`)));
      const found = await Promise.all(ids.map((id) => get(`/api/runs/${id}/captions`)));
      if (ticket !== this.#ticket) return;
      found.forEach(({ captions }, at) => {
        for (const { id, name, text } of captions) rows.set(id, { ...rows.get(id), name, [SIDES[at]]: text });
      });
      byId("trial-rows").replaceChildren(...[...rows].map(([id, texts]) => row(id, texts)));
      const at_work = runs.filter((run) => run.here || run.state === "running");
      byId("trial-status").textContent = at_work.length ? progress(runs) : ended(runs);
      if (!at_work.length) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** @param {"one"|"other"} side */
  #take(side) {
    this.dialog.close();
    const { model, variant, mode } = this.#sides[side];
    this.dispatchEvent(new CustomEvent("choose", { detail: { model, variant, mode } }));
  }

  /** @param {string} words */
  #wrong(words) {
    byId("trial-wrong").hidden = !words.trim();
    byId("trial-wrong").textContent = words.trim();
  }
}

/** @param {any} asked */
const title = (asked) => [asked.variant ?? asked.model, asked.mode?.replaceAll("_", " ")].filter(Boolean).join(" · ");

/** @param {string} id @param {{name: string, one?: string, other?: string}} texts */
function row(id, texts) {
  const image = el("img", { src: picture({ id, stamp: "" }, "small"), alt: "", loading: "lazy" });
  const head = el("th", { scope: "row", class: "thumb" }, image, el("span", { class: "small" }, texts.name));
  /** @param {string|undefined} text */
  const cell = (text) => el("td", text === undefined ? { class: "coming" } : {}, text ?? "…");
  return el("tr", {}, head, cell(texts.one), cell(texts.other));
}

/** @param {any[]} runs */
function progress(runs) {
  const done = runs.map((run) => run.counts.done).reduce((a, b) => a + b, 0);
  const phase = runs.find((run) => run.phase)?.phase;
  return `${plural(done, "caption")} so far${phase ? `: ${phase}` : ""}.`;
}

/** @param {any[]} runs */
function ended(runs) {
  const wrong = runs.map((run) => run.error?.detail ?? run.failures[0]?.reason).filter(Boolean);
  return wrong.length ? `Ended, not with every caption: ${[...new Set(wrong)].join(" ")}` : "Both are done. Which one reads better?";
}
