// The view for settings: each is saved by itself, and says where its value comes from.

import { get, Refusal, send } from "./api.js";
import { byId, el } from "./dom.js";
import { notice } from "./notices.js";

/**
 * @typedef {{section: string, name: string, about: string, takes: string, choices: string[], secret: boolean,
 *   set: boolean, value: string|null, default: string|null, from: "default"|"file"|"environment", where: string,
 *   overridden_by: string|null, unused: string}} Setting
 * @typedef {{name: string, about: string, note: string, settings: Setting[]}} Section
 */

export class Settings {
  #find = /** @type {HTMLInputElement} */ (byId("settings-find"));
  /** @type {Map<string, Row>} */
  #rows = new Map();

  constructor() {
    this.#find.addEventListener("input", () => this.#filter());
  }

  /** Shows what is set now; what somebody is typing stays. */
  async load() {
    try {
      const { file, sections } = await get("/api/settings");
      byId("settings-file").textContent = file;
      this.#wrong("");
      for (const section of /** @type {Section[]} */ (sections)) this.#show(section);
      this.#filter();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#wrong([error.message, error.hint].filter(Boolean).join(" "));
    }
  }

  /** @param {Section} section */
  #show(section) {
    const fresh = section.settings.filter((setting) => !this.#rows.has(key(setting)));
    for (const setting of section.settings) this.#rows.get(key(setting))?.show(setting);
    if (!fresh.length) return;
    const title = el("h3", { id: `settings-${section.name}` }, section.name);
    const about = el("p", { class: "small" }, [section.about, section.note].filter(Boolean).join(" "));
    const rows = fresh.map((setting) => new Row(setting));
    for (const row of rows) this.#rows.set(key(row.setting), row);
    const box = el("section", { class: "settings-section", "aria-labelledby": title.id }, el("header", {}, title, about));
    box.append(...rows.map((row) => row.element));
    byId("settings-sections").append(box);
  }

  #filter() {
    const wanted = this.#find.value.trim().toLowerCase().split(/\s+/);
    let found = 0;
    for (const row of this.#rows.values()) {
      row.element.hidden = !wanted.every((word) => row.words.includes(word));
      if (!row.element.hidden) found += 1;
    }
    for (const box of byId("settings-sections").children) {
      /** @type {HTMLElement} */ (box).hidden = !box.querySelector(".setting:not([hidden])");
    }
    byId("settings-none").hidden = found > 0 || this.#rows.size === 0;
  }

  /** @param {string} words */
  #wrong(words) {
    const line = byId("settings-wrong");
    line.hidden = !words;
    line.textContent = words;
  }
}

/** @param {{section: string, name: string}} setting */
const key = ({ section, name }) => `${section}.${name}`;

/** One setting: its field, where its value is from, and what was wrong with the last one. */
class Row {
  element;
  words;
  #field;
  #from = el("p", { class: "small from" });
  #wrong = el("p", { class: "wrong", role: "alert", hidden: true });
  #save = /** @type {HTMLButtonElement} */ (el("button", { class: "primary", type: "submit", hidden: true }, "Save"));
  #unset;

  /** @param {Setting} setting */
  constructor(setting) {
    this.setting = setting;
    const id = `setting-${setting.section}-${setting.name}`;
    this.words = `${key(setting)} ${setting.about}`.toLowerCase();
    this.#field = field(setting, id);
    this.#from.id = `${id}-from`;
    this.#wrong.id = `${id}-wrong`;
    this.#field.setAttribute("aria-describedby", `${id}-about ${this.#from.id} ${this.#wrong.id}`);
    const undo = setting.secret ? "Remove" : "Use default";
    this.#unset = el("button", { class: "quiet", type: "button", "aria-label": `${undo}: ${setting.name}` }, undo);
    const control = el("div", { class: "control" }, this.#field, this.#save, this.#unset, this.#from, this.#wrong);
    const about = el("p", { class: "small", id: `${id}-about` }, setting.unused ? `${setting.about} Not used: ${setting.unused}.` : setting.about);
    const form = el("form", { class: "setting", autocomplete: "off" }, el("div", {}, el("label", { htmlFor: id }, setting.name), about), control);
    this.element = /** @type {HTMLFormElement} */ (form);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#put();
    });
    this.#field.addEventListener("input", () => this.#typed());
    this.#unset.addEventListener("click", () => this.#change("DELETE"));
    this.#field.value = setting.value ?? "";
    this.show(setting);
  }

  get #value() {
    return this.#field.value.trim() ? this.#field.value : "";
  }

  get #differs() {
    return this.#value !== (this.setting.value ?? "");
  }

  /** Shows a setting as it is now, unless somebody is typing another value. @param {Setting} setting */
  show(setting) {
    const typing = this.#differs;
    this.setting = setting;
    if (!typing) this.#field.value = setting.value ?? "";
    if (setting.secret) this.#field.setAttribute("placeholder", setting.set ? "set; a new one replaces it" : "not set");
    this.#field.disabled = setting.overridden_by !== null;
    this.#unset.hidden = setting.from !== "file";
    this.#save.hidden = !this.#differs;
    this.#from.replaceChildren(...origin(setting));
  }

  #typed() {
    this.#save.hidden = !this.#differs;
    this.#problem("");
  }

  /** An emptied field means the default. */
  #put() {
    if (!this.#differs) return;
    if (this.#value) this.#change("PUT", { value: this.#value });
    else this.#change("DELETE");
  }

  /** @param {string} method @param {any} [body] */
  async #change(method, body) {
    this.#save.disabled = true;
    try {
      const { section, name } = this.setting;
      const now = /** @type {Setting} */ (await send(method, `/api/settings/${section}/${name}`, body));
      this.setting = now;
      this.#field.value = now.value ?? "";
      this.show(now);
      this.#problem("");
      this.#field.focus();
      notice(method === "PUT" ? `${key(now)} is saved.` : `${key(now)} is no longer set in the file.`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const hint = error.hint === this.setting.about ? "" : error.hint;
      this.#problem([error.message, hint].filter(Boolean).join(" "));
      this.#field.focus();
    } finally {
      this.#save.disabled = false;
    }
  }

  /** @param {string} words */
  #problem(words) {
    this.#wrong.hidden = !words;
    this.#wrong.textContent = words;
    if (words) this.#field.setAttribute("aria-invalid", "true");
    else this.#field.removeAttribute("aria-invalid");
  }
}

/** @param {Setting} setting @param {string} id @returns {HTMLInputElement|HTMLSelectElement} */
function field(setting, id) {
  if (!setting.choices.length) {
    const placeholder = setting.default || (setting.default === null ? "not set" : "nothing");
    const type = setting.secret ? "password" : "text";
    const autocomplete = setting.secret ? "new-password" : "off";
    return /** @type {any} */ (el("input", { id, type, placeholder, autocomplete, spellcheck: false, maxLength: 4000 }));
  }
  const none = setting.default === null ? [el("option", { value: "" }, "not set")] : [];
  return /** @type {any} */ (el("select", { id }, ...none, ...setting.choices.map((value) => el("option", { value }, value))));
}

/** Says where a value comes from. @param {Setting} setting */
function origin({ from, where, overridden_by, secret, set, default: usual }) {
  if (overridden_by) {
    return [el("b", {}, "Set"), ` by the environment (${overridden_by}), which goes before the file: change it there.`];
  }
  if (from === "file") return [el("b", {}, "Set"), ` in ${where}${!secret && usual ? `; the default is ${usual}` : ""}`];
  if (secret) return [set ? "Set." : "Not set."];
  return ["Default"];
}
