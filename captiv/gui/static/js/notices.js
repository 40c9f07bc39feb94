// Short messages that a person sees, and a screen reader reads.

import { byId, el } from "./dom.js";

const SHOWN_MS = 6000;
const WITH_ACTION_MS = 12000;

/**
 * @param {string} words
 * @param {{trouble?: boolean, action?: string, onAction?: () => void}} [options]
 */
export function notice(words, options = {}) {
  const box = el("div", { class: options.trouble ? "notice trouble" : "notice" }, el("p", {}, words));
  const close = () => box.remove();
  if (options.action) {
    const button = el("button", { type: "button", class: "quiet" }, options.action);
    button.addEventListener("click", () => {
      close();
      options.onAction?.();
    });
    box.append(button);
  }
  const holder = byId("notices");
  while (holder.children.length > 2) holder.firstElementChild?.remove();
  holder.append(box);
  setTimeout(close, options.action || options.trouble ? WITH_ACTION_MS : SHOWN_MS);
}
