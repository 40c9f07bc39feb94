// Caption now: the sheet in which a person says what is captioned, how and where, and begins the run.

import { get, Refusal, send } from "./api.js";
import { byId, count, el, plural, settled } from "./dom.js";
import { notice } from "./notices.js";
import { Trial } from "./trial.js";
import { WishForm } from "./wish.js";

const PAUSE_MS = 180;
const QUOTE_PAUSE_MS = 700;

/** What is to be captioned: images by id, or what the gallery shows.
 * @typedef {{images: string[], words: string}|{shown: import("./listing.js").Filters, words: string}} Extent */

export class Captioning extends EventTarget {
  dialog = /** @type {HTMLDialogElement} */ (byId("captioning"));
  wish = new WishForm();
  #start = /** @type {HTMLButtonElement} */ (byId("wish-start"));
  #compare = /** @type {HTMLButtonElement} */ (byId("wish-compare"));
  /** @type {Extent} */
  #extent = { images: [], words: "" };
  #ticket = 0;
  #trial = new Trial();
  #busy = false;

  constructor() {
    super();
    const plan = settled(() => this.#plan(), PAUSE_MS);
    const quote = settled(() => this.#quote(), QUOTE_PAUSE_MS);
    this.wish.addEventListener("change", () => {
      this.#ticket += 1; // what is still being answered was about an earlier wish
      this.#start.disabled = true;
      plan();
      quote();
    });
    this.wish.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.wish.form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#begin();
    });
    byId("captioning-close").addEventListener("click", () => this.dialog.close());
    this.#compare.addEventListener("click", () => this.#trial.show(this.wish, this.asked));
    this.#trial.addEventListener("choose", (event) => {
      this.wish.choose(/** @type {CustomEvent} */ (event).detail);
      this.#start.focus();
    });
  }

  get open() {
    return this.dialog.open;
  }

  /** Everything that is asked for, as captiv takes it. */
  get asked() {
    const { words: _, ...extent } = this.#extent;
    return { ...this.wish.value, ...extent };
  }

  /** Opens the sheet. @param {Extent} extent @param {"no"|"yes"|"all"} overwrite */
  async show(extent, overwrite) {
    this.#extent = extent;
    byId("captioning-scope").textContent = extent.words;
    byId("wish-summary").textContent = "";
    this.#wrong(null);
    this.#start.disabled = true;
    try {
      this.wish.take(await get("/api/models"));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      notice(error.message, { trouble: true });
      return;
    }
    this.wish.overwrite = overwrite;
    this.dialog.showModal();
    byId("wish-model").focus();
    await Promise.all([this.#plan(), this.#quote()]);
  }

  /** Asks captiv what would be done, and shows it. */
  async #plan() {
    const ticket = ++this.#ticket;
    try {
      const plan = await send("POST", "/api/plans", this.asked);
      if (ticket !== this.#ticket) return;
      this.wish.foreign(plan.family);
      this.#show(plan);
    } catch (error) {
      if (ticket !== this.#ticket) return;
      if (!(error instanceof Refusal)) throw error;
      byId("wish-summary").textContent = "";
      this.#wrong(error);
    }
  }

  /** @param {any} plan */
  #show(plan) {
    this.#wrong(null);
    byId("wish-final").textContent = plan.prompt ?? "without any words: this model looks at the picture alone";
    byId("wish-final").classList.toggle("silent", plan.prompt === null);
    byId("wish-system").hidden = !plan.system;
    byId("wish-system").textContent = plan.system ? `after being told: ${plan.system}` : "";
    byId("wish-contradictions").hidden = !plan.contradictions.length;
    byId("wish-contradictions").textContent = plan.contradictions.join(" ");
    byId("wish-summary").textContent = summary(plan, this.wish.value.overwrite);
    this.#start.disabled = plan.to_do === 0 || this.#busy;
    this.#start.textContent = plan.to_do ? `Caption ${plural(plan.to_do, "image")}` : "Nothing to caption";
  }

  /** Shows what would be rented, where that is asked for. */
  async #quote() {
    const box = byId("wish-quote");
    const asked = this.asked;
    box.hidden = asked.where !== "runpod";
    if (box.hidden || !this.open) return;
    const ticket = this.#ticket;
    box.setAttribute("aria-busy", "true");
    try {
      const quote = await send("POST", "/api/quotes", asked);
      if (ticket === this.#ticket) box.replaceChildren(...estimate(quote));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      box.replaceChildren(el("p", {}, error.message));
    } finally {
      box.removeAttribute("aria-busy");
    }
  }

  async #begin() {
    if (this.#busy || this.#start.disabled) return;
    this.#busy = true;
    this.#start.disabled = true;
    try {
      const run = await send("POST", "/api/runs", this.asked);
      this.dialog.close();
      this.dispatchEvent(new CustomEvent("begun", { detail: run }));
      notice(`Run ${run.id} is under way.`, { action: "Look at it", onAction: () => (location.hash = "#/runs") });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#wrong(error);
    } finally {
      this.#busy = false;
      this.#start.disabled = false;
    }
  }

  /** @param {Refusal|null} error */
  #wrong(error) {
    const line = byId("wish-wrong");
    line.hidden = error === null;
    byId("wish-final").classList.toggle("stale", error !== null);
    line.textContent = error ? `${error.message} ${error.hint}`.trim() : "";
  }
}

/** @param {any} plan @param {string|null} overwrite */
function summary(plan, overwrite) {
  const said = [plural(plan.images, "image")];
  if (plan.captioned) said.push(`${count(plan.captioned)} with a caption`);
  if (plan.hand) said.push(`${count(plan.hand)} edited by hand${overwrite === "all" ? ", to be replaced" : ", kept"}`);
  return `${said.join(", ")}.`;
}

/** @param {{problem: string|null, lines: string[]}} quote */
function estimate(quote) {
  if (quote.problem) return [el("p", {}, quote.lines.join(" "))];
  const [offer, ...rest] = quote.lines;
  return [el("p", { class: "offer" }, offer), el("ul", {}, ...rest.map((line) => el("li", {}, line)))];
}
