// The live socket. Dispatches an event for each topic, and "state" when the connection comes or goes.

import { get, Refusal } from "./api.js";

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5000;

export class Live extends EventTarget {
  /** @type {"open"|"lost"|"ended"} */
  state = "lost";
  #pause = FIRST_PAUSE_MS;
  #timer = 0;
  /** @type {WebSocket|null} */
  #socket = null;

  connect() {
    clearTimeout(this.#timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live`);
    this.#socket = socket;
    socket.addEventListener("message", (event) => this.#take(JSON.parse(event.data)));
    socket.addEventListener("close", () => this.#closed(socket));
    addEventListener("online", () => this.#soon(0), { once: true });
  }

  /** Ask captiv to look at the disk now: a person came back. */
  look() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send("look");
    else if (this.state !== "ended") this.#soon(0);
  }

  /** @param {{topic: string, value: any}} message */
  #take(message) {
    if (message.topic === "hello") {
      this.#pause = FIRST_PAUSE_MS;
      this.#be("open");
      this.dispatchEvent(new CustomEvent("folder", { detail: message.value }));
      this.dispatchEvent(new CustomEvent("again", { detail: message.value.version }));
      return;
    }
    this.dispatchEvent(new CustomEvent(message.topic, { detail: message.value }));
  }

  /** @param {WebSocket} socket */
  #closed(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#be("lost");
    this.#soon(this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  /** @param {number} pauseMs */
  #soon(pauseMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      if (this.#socket) return;
      try {
        await get("/api/folders");
      } catch (error) {
        if (error instanceof Refusal && [401, 410].includes(error.status)) return this.#be("ended");
      }
      this.connect();
    }, pauseMs);
  }

  /** @param {"open"|"lost"|"ended"} state */
  #be(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
