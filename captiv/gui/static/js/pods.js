// The view of pods, and the bar over every view while one bills that nobody needs.

import { get, Refusal, request, send } from "./api.js";
import { duration } from "./chart.js";
import { byId, el, plural } from "./dom.js";
import { notice } from "./notices.js";
import { PodLog } from "./podlog.js";
import { sure } from "./runs.js";
import { choices } from "./wish.js";

const RENEW_MS = 5000;

/**
 * A pod as captiv tells it, and all that is told.
 * @typedef {{phase: string, price_usd_h: number, sweepable: boolean, [more: string]: any}} Pod
 * @typedef {{key: boolean, pods: Pod[], at_ms: number|null, error: any, making: any}} Told
 */

export class Pods extends EventTarget {
  #log = new PodLog();
  #timer = 0;
  #form = /** @type {HTMLFormElement} */ (byId("pod-form"));
  #making = /** @type {HTMLDialogElement} */ (byId("pod-make"));
  /** @type {Set<string>} */
  #ending = new Set();
  /** @type {Told|null} */
  #told = null;

  constructor() {
    super();
    byId("pods-create").addEventListener("click", () => this.#ask());
    byId("pod-make-no").addEventListener("click", () => this.#making.close());
    byId("orphan-end").addEventListener("click", () => this.#sweep());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
  }

  /** Has the pods looked at often while the view is open. @param {boolean} open */
  watch(open) {
    clearInterval(this.#timer);
    if (!open) return;
    this.load();
    this.#timer = setInterval(() => document.visibilityState === "visible" && this.load(), RENEW_MS);
  }

  async load() {
    const told = await get("/api/pods").catch(() => null);
    if (told) this.take(told);
  }

  /** @param {Told} told */
  take(told) {
    this.#told = told;
    const { key, pods, error, making } = told;
    byId("pods-keyless").hidden = key;
    byId("pods-none").hidden = !key || pods.length > 0 || told.at_ms === null || Boolean(making && !making.over);
    byId("pods-create").hidden = !key;
    byId("pods-summary").textContent = summary(told);
    byId("pods-wrong").hidden = !error;
    byId("pods-wrong").textContent = error ? `The pods cannot be seen: ${error.detail} ${error.hint ?? ""}` : "";
    this.#tellMaking(making);
    this.#draw(pods);
    this.#orphans(pods.filter((pod) => pod.sweepable));
    const live = pods.filter((pod) => pod.phase !== "stopped").length;
    this.dispatchEvent(new CustomEvent("count", { detail: live }));
  }

  /** @param {Pod[]} pods */
  #draw(pods) {
    const list = byId("pods");
    const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement.id : "";
    list.replaceChildren(...pods.map((pod) => this.#card(pod)));
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @param {Pod} pod */
  #card(pod) {
    const ending = this.#ending.has(pod.pod);
    const kind = pod.orphan ? "failed" : pod.phase === "ready" ? "now" : "";
    const logs = el("button", { type: "button", id: `log-${pod.pod}`, "aria-label": `Log of pod ${pod.pod}` }, "Log");
    logs.addEventListener("click", () => this.#log.show(pod.pod));
    const end = el("button", { type: "button", id: `end-${pod.pod}`, disabled: ending, "aria-label": `Terminate pod ${pod.pod}` }, ending ? "Ending…" : "Terminate…");
    end.addEventListener("click", () => this.#end(pod.pod));
    const numbers = [
      el("span", {}, el("b", {}, pod.price)),
      el("span", {}, el("b", {}, pod.spent ?? "unknown"), " so far"),
    ];
    if (pod.up_s !== null) numbers.push(el("span", {}, "up ", el("b", {}, duration(pod.up_s))));
    if (pod.billed) numbers.push(el("span", {}, el("b", {}, pod.billed), " by RunPod's records"));
    return el(
      "li",
      { class: "run pod", "aria-labelledby": `pod-${pod.pod}`, "data-orphan": pod.orphan ? true : undefined },
      el("div", { class: "run-head" }, el("h3", { id: `pod-${pod.pod}` }, pod.pod), el("span", { class: `tag ${kind}` }, pod.phase), el("p", { class: "small about" }, [pod.gpu ?? "no GPU", pod.cloud && `${pod.cloud} cloud`, pod.name].filter(Boolean).join(" · "))),
      el("p", { class: "numbers" }, ...numbers),
      ...[pod.queue, pod.note].filter(Boolean).map((words) => el("p", { class: pod.orphan && words === pod.note ? "said trouble" : "said" }, words)),
      el("div", { class: "buttons" }, logs, end),
    );
  }

  /** Shows the bar over everything. @param {Pod[]} orphans */
  #orphans(orphans) {
    const bar = byId("orphan");
    bar.hidden = orphans.length === 0;
    if (bar.hidden) return;
    const spent = orphans.map((pod) => pod.spent).filter(Boolean).join(", ");
    const words = orphans.length === 1 ? `Pod ${orphans[0].pod} bills and nobody needs it` : `${plural(orphans.length, "pod")} bill and nobody needs them`;
    byId("orphan-words").textContent = `${words}${spent ? ` (${spent} so far)` : ""}.`;
    byId("orphan-end").textContent = orphans.length === 1 ? "End it" : "End them";
  }

  async #sweep() {
    const button = /** @type {HTMLButtonElement} */ (byId("orphan-end"));
    button.disabled = true;
    try {
      /** @type {{swept: {outcome: string, pod_id: string, reason: string}[]}} */
      const { swept } = await send("POST", "/api/pods/sweep");
      const left = swept.filter((one) => one.outcome === "still there");
      if (left.length) notice(`Still there, and billing: ${left.map((one) => one.pod_id).join(", ")}. Try again, or RunPod's console.`, { trouble: true });
      else if (swept.length && swept.every((one) => one.outcome === "left")) notice(`Nothing was ended: ${swept[0].reason}.`);
      else notice("It is gone, and bills no more.");
      await this.load();
    } catch (error) {
      this.#refused(error);
    } finally {
      button.disabled = false;
    }
  }

  /** @param {string} pod */
  async #end(pod) {
    try {
      const { question } = await get(`/api/pods/${pod}/end`);
      if (!(await sure(question, "It is ended for good, with everything on its disk. Images that it is captioning go back to their run.", "Terminate it"))) return;
      this.#ending.add(pod);
      this.#draw(this.#told?.pods ?? []);
      const { said } = await request(`/api/pods/${pod}`, { method: "DELETE" });
      notice(said.charAt(0).toUpperCase() + said.slice(1));
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#ending.delete(pod);
      await this.load();
    }
  }

  // -- making --------------------------------------------------------------------------------------

  async #ask() {
    const { models, chosen, where } = await get("/api/models");
    const named = (/** @type {import("./wish.js").Family} */ family) => [family.name, family.title];
    choices(/** @type {HTMLSelectElement} */ (byId("pod-model")), models.map(named), chosen.model);
    /** @type {HTMLInputElement} */ (byId("pod-gpu")).placeholder = where.gpu_type;
    byId("pod-make-wrong").hidden = true;
    this.#making.showModal();
  }

  async #make() {
    const data = new FormData(this.#form);
    /** @type {Record<string, any>} */
    const wanted = {};
    for (const [name, value] of data) if (String(value).trim()) wanted[name] = name === "disk" ? Number(value) : String(value).trim();
    try {
      this.take(await send("POST", "/api/pods", wanted));
      this.#making.close();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      byId("pod-make-wrong").hidden = false;
      byId("pod-make-wrong").textContent = `${error.message} ${error.hint}`;
    }
  }

  /** @param {any} making */
  #tellMaking(making) {
    const box = byId("pods-making");
    box.hidden = !making || (making.over && !making.error);
    if (box.hidden) return;
    byId("pods-making-title").textContent = making.over ? "The pod was not made" : `Making a pod${making.model ? ` for ${making.model}` : ""}…`;
    const list = byId("pods-notes");
    const shown = [...list.children].map((item) => item.textContent);
    if (shown.join("\n") !== making.notes.join("\n")) list.replaceChildren(...making.notes.map((/** @type {string} */ text) => el("li", {}, text)));
    byId("pods-making-wrong").hidden = !making.error;
    byId("pods-making-wrong").textContent = making.error ? `${making.error.detail} ${making.error.hint ?? ""}` : "";
  }

  /** @param {unknown} error */
  #refused(error) {
    if (!(error instanceof Refusal)) throw error;
    notice(`${error.message} ${error.hint}`, { trouble: true });
  }
}

/** @param {Told} told */
function summary({ key, pods, at_ms, error }) {
  if (!key) return "";
  if (at_ms === null) return "asking RunPod…";
  if (error) return "";
  const live = pods.filter((pod) => pod.phase !== "stopped");
  const price = live.reduce((sum, pod) => sum + pod.price_usd_h, 0);
  return live.length ? `${plural(live.length, "pod")}, $${price.toFixed(2)}/h${live.length > 1 ? " together" : ""}` : "nothing bills";
}
