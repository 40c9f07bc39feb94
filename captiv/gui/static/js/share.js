// The banner of a shared page: for its owner where, until when, and the end; for a visitor what may be done.

import { get, Refusal, send } from "./api.js";
import { byId, plural, when } from "./dom.js";
import { notice } from "./notices.js";
import { may } from "./rights.js";

/** @typedef {{state: "none"|"opening"|"open"|"over", edit?: boolean, until_ms?: number, url?: string,
 *   because?: string, visitors?: number}} State */

export class Share {
  /** @type {State} */
  #state = { state: "none" };

  constructor() {
    byId("shared-end").addEventListener("click", () => this.#end());
    byId("shared-copy").addEventListener("click", () => this.#copy());
  }

  /** Shows how it is now. */
  async load() {
    this.#show(await get("/api/share"));
  }

  /** @param {State} state */
  #show(state) {
    this.#state = state;
    byId("shared").hidden = state.state === "none";
    byId("shared").dataset.state = state.state;
    byId("shared-words").textContent = words(state);
    byId("shared-copy").hidden = state.state !== "open";
    byId("shared-end").hidden = state.state === "over";
  }

  async #end() {
    try {
      this.#show(await send("DELETE", "/api/share"));
      notice("Nobody else sees this page any more.");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      notice(error.message, { trouble: true });
    }
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#state.url ?? "");
      notice("The address is in your clipboard. The passphrase stands in the terminal.");
    } catch {
      notice("The browser would not copy the address.", { trouble: true });
    }
  }
}

/** @param {State} state */
function words({ state, edit, until_ms, url, because, visitors }) {
  const until = until_ms ? `until ${when(until_ms)}` : "";
  if (!may("own")) return `Shared with you ${edit ? "to look at and to edit captions" : "to look at"}, ${until}.`;
  if (state === "opening") return "Sharing this page: waiting for the tunnel.";
  if (state === "over") return `Shared no more. ${because}`;
  const others = visitors ? ` ${plural(visitors, "other tab")} open.` : "";
  return `Shared under ${url}, ${edit ? "captions may be edited" : "to look at"}, ${until}.${others}`;
}
