// The view of runs: those of this page and of every other captiv of this installation, live.

import { get, Refusal, send } from "./api.js";
import { chart, duration, rate } from "./chart.js";
import { byId, count, el, plural, when } from "./dom.js";
import { notice } from "./notices.js";

/** @type {Record<string, string>} */
const STATES = { running: "at work", unfinished: "unfinished", finished: "finished", cancelled: "cancelled" };
/** @type {Record<string, string>} */
const WHERE = { local: "this machine", runpod: "RunPod", url: "a worker elsewhere" };

/** A run as captiv tells it. @typedef {any} Run */

export class Runs extends EventTarget {
  #list = byId("runs");
  /** @type {Map<number, Card>} */
  #cards = new Map();

  /** Shows the runs anew. */
  async load() {
    this.take(await get("/api/runs"));
  }

  /** @param {{runs: Run[]}} told */
  take({ runs }) {
    byId("runs-empty").hidden = runs.length > 0;
    byId("runs-summary").textContent = runs.length ? summary(runs) : "";
    const known = new Set(runs.map((run) => run.id));
    for (const [id, card] of this.#cards) if (!known.has(id)) (card.box.remove(), this.#cards.delete(id));
    /** @type {Element|null} */
    let before = null;
    for (const run of runs) {
      let card = this.#cards.get(run.id);
      if (!card) {
        card = new Card(run.id, (image) => this.dispatchEvent(new CustomEvent("image", { detail: image })));
        this.#cards.set(run.id, card);
      }
      card.take(run);
      /** @type {Element|null} */
      const place = before ? before.nextElementSibling : this.#list.firstElementChild;
      if (place !== card.box) this.#list.insertBefore(card.box, place);
      before = card.box;
    }
    this.dispatchEvent(new CustomEvent("busy", { detail: runs.filter((run) => run.state === "running").length }));
  }
}

/** One run: its line is brought up to date in place, so that nothing moves under a person's hands. */
class Card {
  /** @type {Run} */
  #whole = null;
  #loading = false;
  #asked = "";

  /** @param {number} id @param {(image: {id: string, name: string}) => void} onImage */
  constructor(id, onImage) {
    this.id = id;
    this.onImage = onImage;
    this.title = el("h3", { id: `run-${id}` });
    this.state = el("span", { class: "tag" });
    this.about = el("p", { class: "small about" });
    this.bar = /** @type {HTMLProgressElement} */ (el("progress", { max: 1, "aria-label": `Progress of run ${id}` }));
    this.numbers = el("p", { class: "numbers" });
    this.said = el("p", { class: "said", role: "status" });
    this.actions = el("div", { class: "buttons" });
    this.more = /** @type {HTMLDetailsElement} */ (el("details", { class: "fold" }, el("summary", {}, "Details")));
    this.body = el("div", { class: "run-body" });
    this.more.append(this.body);
    this.more.addEventListener("toggle", () => this.more.open && this.#load());
    this.box = el(
      "li",
      { class: "run", "aria-labelledby": `run-${id}` },
      el("div", { class: "run-head" }, this.title, this.state, this.about),
      this.bar,
      this.numbers,
      this.said,
      this.actions,
      this.more,
    );
  }

  /** @param {Run} run */
  take(run) {
    const { counts } = run;
    this.box.dataset.state = run.state;
    this.title.textContent = `Run ${run.id}${run.save ? "" : " (a sample)"}: ${run.what}`;
    this.state.textContent = run.pausing ? "coming to rest" : STATES[run.state];
    this.state.className = `tag ${run.state === "running" ? "now" : run.state === "unfinished" ? "failed" : ""}`;
    this.about.textContent = about(run);
    this.bar.hidden = run.state === "cancelled";
    if (run.scanned && counts.total) this.bar.value = (counts.total - counts.pending - counts.running) / counts.total;
    else if (run.scanned || run.state !== "running") this.bar.value = run.state === "finished" ? 1 : 0;
    else this.bar.removeAttribute("value");
    this.numbers.replaceChildren(...numbers(run));
    const trouble = run.error && !run.here ? `${run.error.detail} ${run.error.hint ?? ""}` : "";
    this.said.textContent = trouble || (run.state === "running" ? run.phase : "");
    this.said.classList.toggle("trouble", Boolean(trouble));
    this.said.hidden = !this.said.textContent;
    this.#act(run);
    const changed = JSON.stringify([run.state, counts, run.warned, run.cost, run.billing]);
    if (this.more.open && changed !== this.#asked) {
      this.#asked = changed;
      this.#load();
    }
  }

  /** @param {Run} run */
  #act(run) {
    const actions = [];
    if (run.here) actions.push(["pause", run.pausing ? "Stop at once" : "Pause"]);
    if (run.state === "unfinished") actions.push(["resume", "Resume"]);
    if (run.state === "running" || run.state === "unfinished") actions.push(["cancel", "Cancel"]);
    const again = run.counts.failed + run.counts.cancelled + (run.state === "running" ? 0 : run.counts.captioned);
    if (again && !run.here) actions.push(["retry", run.counts.failed ? `Try ${plural(run.counts.failed, "failure")} again` : "Take it up again"]);
    const wanted = JSON.stringify(actions);
    if (this.actions.dataset.shown === wanted) return;
    this.actions.dataset.shown = wanted;
    this.actions.replaceChildren(
      ...actions.map(([what, words]) => {
        const button = el("button", { type: "button", class: what === "resume" ? "primary" : "" }, words);
        button.addEventListener("click", () => this.#do(what));
        return button;
      }),
    );
  }

  /** @param {string} what @param {any} [body] */
  async #do(what, body) {
    if (what === "cancel" && !(await sure(`Set run ${this.id} aside?`, "What it has done stays; the images that are left wait for nothing any more.", "Cancel the run"))) return;
    try {
      const told = await send("POST", `/api/runs/${this.id}/${what}`, body ?? (what === "retry" ? {} : undefined));
      this.#whole = told;
      this.take(told);
      this.#draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      notice(`${error.message} ${error.hint}`, { trouble: true });
    }
  }

  async #load() {
    if (this.#loading) return;
    this.#loading = true;
    try {
      this.#whole = await get(`/api/runs/${this.id}`);
      this.#draw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    } finally {
      this.#loading = false;
    }
  }

  #draw() {
    const run = this.#whole;
    if (!run) return;
    const parts = [];
    const drawn = chart(run.pace);
    if (drawn) {
      const now = run.images_per_s === null ? "" : `, ${rate(run.images_per_s)} now`;
      parts.push(el("figure", { class: "pace" }, drawn, el("figcaption", { class: "small" }, `${drawn.title.replace(/\.$/, "")}${now}.`)));
    }
    parts.push(el("dl", { class: "facts" }, ...facts(run)));
    if (run.bill.length) parts.push(bill(run));
    if (run.warnings.length) parts.push(section("What it said", el("ul", { class: "warnings" }, ...run.warnings.map((/** @type {string} */ text) => el("li", {}, text)))));
    const failures = [...run.failures, ...run.unwritten];
    if (failures.length) parts.push(section("Without a caption", ...failures.map((group) => this.#failures(run, group))));
    this.body.replaceChildren(...parts);
  }

  /** @param {Run} run @param {{code: string, reason: string, images: number, named: any[]}} group */
  #failures(run, group) {
    const head = el("p", {}, el("b", {}, plural(group.images, "image")), `: ${group.reason} `, el("code", {}, group.code));
    const names = el("ul", { class: "names" }, ...group.named.slice(0, 12).map((image) => {
      const link = el("button", { type: "button", class: "link" }, image.name);
      link.addEventListener("click", () => this.onImage(image));
      return el("li", {}, link);
    }));
    if (group.images > 12) names.append(el("li", { class: "small" }, `and ${count(group.images - 12)} more`));
    const box = el("div", { class: "failures" }, head, names);
    if (!run.here) {
      const again = el("button", { type: "button" }, "Try these again");
      again.addEventListener("click", () => this.#do("retry", run.failures.includes(group) ? { code: group.code } : {}));
      box.append(again);
    }
    return box;
  }
}

/** @param {string} title @param {...Node} children */
const section = (title, ...children) => el("section", {}, el("h4", {}, title), ...children);

/** @param {Run[]} runs */
function summary(runs) {
  const busy = runs.filter((run) => run.state === "running").length;
  const rests = runs.filter((run) => run.state === "unfinished").length;
  return [busy ? `${count(busy)} at work` : "none at work", rests ? `${count(rests)} unfinished` : ""].filter(Boolean).join(", ");
}

/** @param {Run} run */
function about(run) {
  const mode = run.mode && run.mode !== "default" ? `, ${run.mode.replaceAll("_", " ")}` : "";
  const where = run.where === "url" ? run.url : WHERE[run.where];
  return `${run.variant}${mode} on ${where} · ${when(run.created_ms)}`;
}

/** @param {Run} run */
function numbers(run) {
  const { counts } = run;
  const captioned = counts.done - counts.kept;
  /** @type {[number, string, string][]} */
  const all = [
    [captioned, "captioned", ""],
    [counts.pending + counts.running, "waiting", ""],
    [counts.captioned, "to be written", "bad"],
    [counts.failed, "failed", "bad"],
    [counts.kept, "kept", ""],
    [counts.skipped, "had a caption", ""],
    [counts.cancelled, "cancelled", ""],
  ];
  const parts = all.filter(([n], at) => n || at === 0).map(([n, words, kind]) => el("span", { class: kind }, el("b", {}, count(n)), ` ${words}`));
  if (run.unread) parts.push(el("span", {}, `not read: ${run.unread}`));
  if (run.state === "running" && run.images_per_s) {
    parts.push(el("span", {}, el("b", {}, rate(run.images_per_s)), " images/s"));
    if (run.scanned) parts.push(el("span", {}, el("b", {}, duration((counts.pending + counts.running) / run.images_per_s)), " left"));
  }
  if (run.cost) parts.push(el("span", { class: run.billing ? "bad" : "" }, el("b", {}, run.cost), run.billing ? " so far" : " on RunPod"));
  return parts;
}

/** @param {Run} run */
function facts(run) {
  /** @type {Record<string, string>} */
  const overwrite = { no: "left as they are", yes: "made anew, but for hand edits", all: "made anew, hand edits too" };
  const generation = Object.entries(run.generation).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  const roots = run.more_roots ? [...run.roots, `and ${plural(run.more_roots, "other")}`] : run.roots;
  const rows = [
    ["Images", roots.join(", ")],
    ["Captions there", run.add ? `kept, and added to: ${run.add} each` : overwrite[run.overwrite]],
    ["Prompt", run.prompt ?? "none"],
    ["Decoding", [...generation, run.dtype].join(", ")],
  ];
  if (run.engine !== "auto") rows.push(["Engine", run.engine]);
  if (run.accept_truncated) rows.push(["Cut off", "captioned from what is there (--accept-truncated)"]);
  if (run.max_cost) rows.push(["Cost at most", `$${run.max_cost}`]);
  if (run.finished_ms) rows.push(["Ended", when(run.finished_ms)]);
  return rows.flatMap(([term, words]) => [el("dt", {}, term), el("dd", {}, words)]);
}

/** @param {Run} run */
function bill(run) {
  const head = el("tr", {}, ...["Pod", "GPU", "This run's share", "In all", "By RunPod's records"].map((words) => el("th", { scope: "col" }, words)));
  const rows = run.bill.map((/** @type {any} */ pod) =>
    el("tr", {}, el("th", { scope: "row" }, pod.pod), el("td", {}, pod.gpu), el("td", {}, pod.share), el("td", {}, pod.still_bills ? `${pod.total} so far, still bills` : pod.total), el("td", {}, pod.billed_by_provider_usd ? `$${Number(pod.billed_by_provider_usd).toFixed(4)}` : "not yet")),
  );
  const table = el("table", { class: "plain" }, el("thead", {}, head), el("tbody", {}, ...rows));
  return section("What it cost", el("div", { class: "scrolls", tabIndex: 0, role: "region", "aria-label": `What run ${run.id} cost` }, table));
}

/** Asks a person in a dialog; returns whether they said yes. @param {string} title @param {string} words @param {string} yes */
export function sure(title, words, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("sure"));
  byId("sure-title").textContent = title;
  byId("sure-words").textContent = words;
  byId("sure-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  byId("sure-no").focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
