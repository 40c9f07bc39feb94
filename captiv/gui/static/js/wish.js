// The form of what is to be captioned and how. It shows what the chosen model has, and nothing else.

import { byId, el, size } from "./dom.js";

const OTHER = "";
/** What the page calls the engines. @type {Record<string, string>} */
const ENGINES = { auto: "what suits the model", vllm: "vLLM" };

/**
 * @typedef {{name: string, prompt: string|null, description: string, by_count: string|null,
 *   by_length: string|null, trained: boolean, variants: string[]}} Mode
 * @typedef {{name: string, source: string, download_bytes: number|null, vram_gb: Record<string, number>,
 *   modes: string[], takes_prompt: boolean, generation: Record<string, number|null>, note: string}} Variant
 * @typedef {{name: string, title: string, variants: Variant[], default_variant: string, modes: Mode[],
 *   default_mode: string, options: Record<string, string>, lengths: string[], takes_prompt: boolean,
 *   generation: Record<string, number|null>, licence: string, note: string}} Family
 * @typedef {{models: Family[], dtypes: string[], engines: string[],
 *   chosen: {model: string, families: Record<string, {variant: string|null, mode: string|null, length: string|null}>,
 *     generation: Record<string, number>, dtype: string, engine: string, batch_size: number|null, one_line: boolean},
 *   where: {first: string, url: string|null, runpod: boolean, key: boolean, gpu_type: string, max_cost: number|string|null, fallback: string}}} Catalog
 */

/** The modes of a variant. @param {Family} family @param {string} variant */
export const modesOf = (family, variant) =>
  family.modes.filter((mode) => !mode.variants.length || mode.variants.includes(variant));

/** What a mode is called for a person. @param {Mode} mode */
export const modeTitle = (mode) => mode.name.replaceAll("_", " ");

/** @param {HTMLSelectElement} select @param {[string, string][]} choices_ @param {string} [wanted] */
export function choices(select, choices_, wanted) {
  select.replaceChildren(...choices_.map(([value, words]) => el("option", { value }, words)));
  if (wanted !== undefined && choices_.some(([value]) => value === wanted)) select.value = wanted;
}

export class WishForm extends EventTarget {
  form = /** @type {HTMLFormElement} */ (byId("wish"));
  /** @type {Catalog|null} */
  catalog = null;
  /** The family of a model that is not in the catalog, once captiv has told it. @type {Family|null} */
  #foreign = null;
  #model = /** @type {HTMLSelectElement} */ (byId("wish-model"));
  #variant = /** @type {HTMLSelectElement} */ (byId("wish-variant"));
  #mode = /** @type {HTMLSelectElement} */ (byId("wish-mode"));
  /** How the model decodes: what captiv.wire declares. */
  #decoding = [.../** @type {NodeListOf<HTMLInputElement>} */ (this.form.querySelectorAll("input[data-generation]"))];

  constructor() {
    super();
    this.form.addEventListener("input", (event) => {
      const name = /** @type {HTMLInputElement} */ (event.target).name;
      if (name === "model" || name === "other") this.#foreign = null;
      if (name === "model") this.#ofModel();
      else if (name === "variant") this.#ofVariant();
      else this.#ofMode();
      this.#told();
    });
  }

  /** Takes in the catalog; keeps what was chosen before. @param {Catalog} catalog */
  take(catalog) {
    const first = this.catalog === null;
    this.catalog = catalog;
    this.#places(catalog, first);
    if (!first) return;
    const known = catalog.models.some((family) => family.name === catalog.chosen.model);
    choices(this.#model, [...catalog.models.map((f) => /** @type {[string, string]} */ ([f.name, f.title])), [OTHER, "Another one…"]]);
    this.#model.value = known ? catalog.chosen.model : OTHER;
    if (!known) this.#field("other").value = catalog.chosen.model;
    choices(/** @type {HTMLSelectElement} */ (byId("wish-dtype")), catalog.dtypes.map((d) => [d, d]), catalog.chosen.dtype);
    choices(/** @type {HTMLSelectElement} */ (byId("wish-engine")), catalog.engines.map((e) => [e, ENGINES[e] ?? e]), catalog.chosen.engine);
    this.#field("one_line").checked = catalog.chosen.one_line;
    this.#ofModel();
  }

  /** Shows where it can be captioned; settings may have changed that. @param {Catalog} catalog @param {boolean} first */
  #places({ where, chosen }, first) {
    for (const label of this.form.querySelectorAll("[data-where]")) {
      const name = /** @type {HTMLElement} */ (label).dataset.where;
      /** @type {HTMLElement} */ (label).hidden = name === "url" ? !where.url : !where.runpod;
    }
    byId("wish-url").textContent = where.url ? `The worker at ${where.url}` : "";
    const now = new FormData(this.form).get("where");
    if (first || (now === "runpod" && !where.runpod) || (now === "url" && !where.url)) this.#set("where", where.first);
    this.#field("gpu_type").placeholder = where.gpu_type;
    this.#field("max_cost").placeholder = typeof where.max_cost === "number" ? String(where.max_cost) : "no limit but the guard's";
    if (first) this.#set("fallback", where.fallback);
    if (chosen.batch_size) this.#field("batch_size").placeholder = String(chosen.batch_size);
  }

  /** The chosen family; null for one that captiv has not told yet. */
  get family() {
    return this.catalog?.models.find((family) => family.name === this.#model.value) ?? this.#foreign;
  }

  /** Takes in what captiv knows of a model that is not in the catalog. @param {Family} family */
  foreign(family) {
    if (this.#model.value !== OTHER || this.#foreign) return;
    this.#foreign = family;
    this.#ofModel();
  }

  /** @param {{model?: string|null, variant?: string|null, mode?: string|null}} asked */
  choose(asked) {
    this.#model.value = asked.model ?? this.#model.value;
    this.#ofModel();
    if (asked.variant) this.#variant.value = asked.variant;
    this.#ofVariant();
    if (asked.mode) this.#mode.value = asked.mode;
    this.#ofMode();
    this.#told();
  }

  /** @param {"no"|"yes"|"all"} overwrite */
  set overwrite(overwrite) {
    this.#set("overwrite", overwrite);
  }

  /** What is wished for, as captiv takes it; without the images. */
  get value() {
    const data = new FormData(this.form);
    /** @param {string} name */
    const text = (name) => String(data.get(name) ?? "").trim() || null;
    /** @param {string} name */
    const number = (name) => (text(name) === null ? null : Number(text(name)));
    const own = this.#shows("prompt") ? text("prompt") : null;
    const there = text("overwrite") ?? "no";
    const adds = there === "before" || there === "after";
    const wish = {
      model: this.#model.value || text("other"),
      variant: this.#shows("variant") ? this.#variant.value || null : null,
      mode: this.#shows("mode") && own === null ? this.#mode.value || null : null,
      length: this.#shows("length") ? text("length") : null,
      prompt: own,
      options: /** @type {string[]} */ (data.getAll("option")),
      variables: this.#variables(),
      generation: Object.fromEntries(this.#decoding.map(({ name }) => [name, number(name)]).filter(([, v]) => v !== null)),
      retries: number("retries"),
      dtype: text("dtype"),
      engine: text("engine"),
      batch_size: number("batch_size"),
      accept_truncated: data.has("accept_truncated"),
      overwrite: adds ? "no" : there,
      add: adds ? there : null,
      one_line: data.get("one_line") !== null,
      where: text("where"),
    };
    if (wish.where !== "runpod") return wish;
    return { ...wish, gpu_type: text("gpu_type"), pods: number("pods") ?? 1, max_cost: text("max_cost"), fallback: text("fallback") };
  }

  #variables() {
    /** @type {Record<string, string>} */
    const found = {};
    for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (byId("wish-options").querySelectorAll("input[data-variable]"))) {
      if (!input.disabled && input.value.trim()) found[input.dataset.variable ?? ""] = input.value.trim();
    }
    return found;
  }

  // -- what is shown -------------------------------------------------------------------------------

  #ofModel() {
    const { family } = this;
    this.#show("other", this.#model.value === OTHER);
    const chosen = this.catalog?.chosen.families[family?.name ?? ""];
    choices(this.#variant, (family?.variants ?? []).map((v) => [v.name, v.name]), chosen?.variant ?? family?.default_variant);
    this.#show("variant", (family?.variants.length ?? 0) > 1);
    choices(/** @type {any} */ (byId("wish-lengths")), (family?.lengths ?? []).map((l) => [l, l]));
    this.#field("length").value = chosen?.length ?? "";
    byId("wish-options").replaceChildren(...Object.entries(family?.options ?? {}).flatMap(([key, words]) => option(key, words)));
    this.#show("options", Object.keys(family?.options ?? {}).length > 0);
    this.#ofVariant(chosen?.mode ?? family?.default_mode);
  }

  /** @param {string} [wanted] */
  #ofVariant(wanted = this.#mode.value) {
    const { family } = this;
    const variant = family?.variants.find((v) => v.name === this.#variant.value) ?? family?.variants[0];
    const modes = family && variant ? modesOf(family, variant.name) : [];
    const groups = [true, false].map((trained) => modes.filter((mode) => mode.trained === trained));
    const [known, untrained] = groups.map((group) => group.map((mode) => el("option", { value: mode.name }, modeTitle(mode))));
    this.#mode.replaceChildren(...known, ...(untrained.length ? [el("optgroup", { label: "The model was not trained on these" }, ...untrained)] : []));
    if (modes.some((mode) => mode.name === wanted)) this.#mode.value = wanted;
    this.#show("mode", modes.length > 1);
    this.#show("prompt", variant?.takes_prompt ?? family?.takes_prompt ?? false);
    byId("wish-model-note").textContent = family && variant ? aboutModel(family, variant) : "";
    for (const input of this.#decoding) {
      const { name } = input;
      const usual = this.catalog?.chosen.generation[name] ?? variant?.generation[name] ?? family?.generation[name];
      input.placeholder = usual === null || usual === undefined ? "" : String(usual);
    }
    this.#ofMode();
  }

  #ofMode() {
    const { family } = this;
    const mode = family?.modes.find((m) => m.name === this.#mode.value);
    const text = this.#shows("prompt") ? this.#field("prompt").value : "";
    const own = text.trim() !== "";
    const room = own ? /\{(word_count|length)\}/.test(text) : Boolean(mode?.by_count || mode?.by_length);
    this.#show("length", Boolean(family?.lengths.length) && room);
    byId("wish-mode-note").textContent = own ? "" : (mode?.description ?? "");
    this.#mode.disabled = own;
    let chosen = 0;
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (byId("wish-options").querySelectorAll("input[name=option]"))) {
      chosen += Number(box.checked);
      for (const input of byId("wish-options").querySelectorAll(`input[data-of="${CSS.escape(box.value)}"]`)) {
        /** @type {HTMLInputElement} */ (input).disabled = !box.checked;
        /** @type {HTMLElement} */ (input.closest(".variable")).hidden = !box.checked;
      }
    }
    byId("wish-options-count").hidden = !chosen;
    byId("wish-options-count").textContent = String(chosen);
    const where = new FormData(this.form).get("where");
    byId("wish-rental").hidden = where !== "runpod";
    this.#field("engine").disabled = where === "url"; // captiv does not start that worker
  }

  #told() {
    this.dispatchEvent(new CustomEvent("change"));
  }

  /** @param {string} part @param {boolean} shown */
  #show(part, shown) {
    for (const element of this.form.querySelectorAll(`[data-for=${part}]`)) /** @type {HTMLElement} */ (element).hidden = !shown;
  }

  /** @param {string} part */
  #shows(part) {
    return !(/** @type {HTMLElement} */ (this.form.querySelector(`[data-for=${part}]`)).hidden);
  }

  /** @param {string} name @returns {HTMLInputElement} */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  /** @param {string} name @param {string} value */
  #set(name, value) {
    /** @type {RadioNodeList|HTMLInputElement} */ (this.form.elements.namedItem(name)).value = value;
  }
}

/** A prompt option with what has to be filled in. @param {string} key @param {string} words */
function option(key, words) {
  const box = el("label", { class: "check" }, el("input", { type: "checkbox", name: "option", value: key }), " ", el("span", {}, words));
  const variables = [...words.matchAll(/\{([A-Za-z_]\w*)\}/g)].map((found) => found[1]);
  return [
    box,
    ...variables.map((name) => {
      const id = `wish-variable-${key}-${name}`;
      const input = el("input", { type: "text", id, "data-variable": name, "data-of": key, disabled: true, maxLength: 2000 });
      return el("p", { class: "variable", hidden: true }, el("label", { htmlFor: id }, name), input);
    }),
  ];
}

/** @param {Family} family @param {Variant} variant */
function aboutModel(family, variant) {
  const memory = Object.values(variant.vram_gb);
  const parts = [];
  if (variant.download_bytes) parts.push(`Download ${size(variant.download_bytes)}`);
  if (memory.length) parts.push(`needs ${Math.min(...memory)} to ${Math.max(...memory)} GB of memory, by precision`);
  const said = [parts.join(", "), variant.note || family.note, family.licence && `Licence: ${family.licence}`];
  return said.filter(Boolean).map((text) => String(text).replace(/\.?$/, ".")).join(" ");
}
