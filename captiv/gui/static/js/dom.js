// Small helpers around the document. Text is always set as text, never as markup.

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/**
 * Makes an element: properties by name, `class` and `data-*`/`aria-*` as attributes.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node|string)} children
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role") made.setAttribute(name, value === true ? "" : String(value));
    else Reflect.set(made, name, value);
  }
  made.append(...children);
  return made;
}

const numbers = new Intl.NumberFormat("en");

/** @param {number} n */
export const count = (n) => numbers.format(n);

/** @param {number} n @param {string} noun */
export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** @param {number} bytes */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes >= 1e3 ? `${Math.round(bytes / 1e3)} kB` : `${bytes} B`;
}

const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {number} ms */
export const when = (ms) => days.format(new Date(ms));

/**
 * Returns a function that runs `task` once nobody has called it for `pauseMs`.
 * @param {() => void} task @param {number} pauseMs
 */
export function settled(task, pauseMs) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(task, pauseMs);
  };
}
