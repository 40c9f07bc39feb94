// Earlier captions of an image: the text, who or what wrote it, when, and with which prompt.

import { el, when } from "./dom.js";
import { may } from "./rights.js";

/** @type {Record<string, string>} */
const BY = { hand: "by hand", import: "found in its file" };

/**
 * @typedef {{id: number, text: string, version: string, by: string, model: string|null,
 *   variant: string|null, prompt: string|null, tokens: number|null, created_ms: number}} Earlier
 */

/**
 * @param {HTMLElement} list @param {Earlier[]} history @param {number|null} current
 * @param {(text: string) => void} onUse
 */
export function showHistory(list, history, current, onUse) {
  if (!history.length) {
    list.replaceChildren(el("li", { class: "small none" }, "None yet. Every caption that is replaced is kept here."));
    return;
  }
  list.replaceChildren(...history.map((earlier) => item(earlier, earlier.id === current, onUse)));
}

/** @param {Earlier} earlier @param {boolean} current @param {(text: string) => void} onUse */
function item(earlier, current, onUse) {
  const source = earlier.by === "model" ? [...new Set([earlier.model, earlier.variant])].filter(Boolean).join(" ") : BY[earlier.by];
  const about = [source, when(earlier.created_ms)];
  if (earlier.tokens) about.push(`${earlier.tokens} of the model's tokens`);
  const box = el("li", { class: "version" }, el("p", { class: "text" }, earlier.text));
  box.append(el("p", { class: "small" }, about.join(" · ")));
  if (earlier.prompt) {
    const shown = el("details", { class: "small" }, el("summary", {}, "Prompt"), el("p", {}, earlier.prompt));
    box.append(shown);
  }
  if (current) box.append(el("p", { class: "tag now" }, "now"));
  else if (may("edit")) {
    const use = el("button", { type: "button", class: "quiet", "aria-label": `Use this text: ${earlier.text.slice(0, 60)}` }, "Use this text");
    use.addEventListener("click", () => onUse(earlier.text));
    box.append(use);
  }
  return box;
}
