// A pod's log as it comes, in a dialog.

import { byId, el } from "./dom.js";

const MOST = 3000;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export class PodLog {
  dialog = /** @type {HTMLDialogElement} */ (byId("pod-log"));
  #lines = byId("pod-log-lines");
  #pod = "";
  #reading = new AbortController();

  constructor() {
    byId("pod-log-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#reading.abort());
    this.dialog.addEventListener("change", () => this.#read());
  }

  /** @param {string} pod */
  show(pod) {
    this.#pod = pod;
    byId("pod-log-title").textContent = `Log of pod ${pod}`;
    this.dialog.showModal();
    this.#lines.focus();
    this.#read();
  }

  async #read() {
    this.#reading.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.#lines.replaceChildren();
    const source = /** @type {HTMLInputElement} */ (this.dialog.querySelector("input[name=source]:checked")).value;
    this.#say("waiting for lines");
    try {
      const response = await fetch(`/api/pods/${this.#pod}/log?source=${source}`, { signal: reading.signal });
      if (!response.ok || !response.body) {
        const problem = await response.json().catch(() => ({}));
        this.#say(problem.detail ?? "The log cannot be had.");
        return;
      }
      await this.#take(response.body);
      this.#say("this is the end: the pod is gone");
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.#say("the connection was lost");
    }
  }

  /** @param {ReadableStream<Uint8Array>} body */
  async #take(body) {
    let rest = "";
    const decoder = /** @type {ReadableWritablePair<string, Uint8Array>} */ (new TextDecoderStream());
    const reader = body.pipeThrough(decoder).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop() ?? "";
      this.#add(parts.filter(Boolean).map((part) => JSON.parse(part)));
    }
  }

  /** @param {{at_ms?: number|null, text?: string, error?: string}[]} lines */
  #add(lines) {
    const box = this.#lines;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.append(
      ...lines.map((line) =>
        el("p", { class: line.error ? "trouble" : "" }, el("span", { class: "at" }, line.at_ms ? clock.format(new Date(line.at_ms)) : ""), line.error ?? line.text ?? ""),
      ),
    );
    while (box.children.length > MOST) box.firstElementChild?.remove();
    if (lines.length) this.#say("live");
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  /** @param {string} words */
  #say(words) {
    byId("pod-log-status").textContent = words;
  }
}
