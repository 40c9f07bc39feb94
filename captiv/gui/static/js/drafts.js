// Texts that were typed and not saved: kept in this browser, image by image, until they are saved or
// given up. A draft knows the version of the caption that it began from.

const PREFIX = "captiv:draft:";
const KEPT = 300;
const KEPT_MS = 60 * 24 * 3600 * 1000;

/** @typedef {{text: string, version: string, at: number}} Draft */

/** @param {string} id @returns {Draft|null} */
export function draftOf(id) {
  try {
    const found = JSON.parse(localStorage.getItem(PREFIX + id) ?? "null");
    return found && typeof found.text === "string" && typeof found.version === "string" ? found : null;
  } catch {
    return null;
  }
}

/** Keeps a draft; returns whether the browser would. @param {string} id @param {string} text @param {string} version */
export function keepDraft(id, text, version) {
  try {
    localStorage.setItem(PREFIX + id, JSON.stringify({ text, version, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

/** @param {string} id */
export function dropDraft(id) {
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // a browser that keeps nothing has nothing to drop
  }
}

/** Forgets drafts that nobody came back to. */
export function tidyDrafts() {
  try {
    const found = Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX))
      .map((key) => ({ key, at: draftOf(key.slice(PREFIX.length))?.at ?? 0 }))
      .sort((a, b) => b.at - a.at);
    for (const [place, { key, at }] of found.entries()) {
      if (place >= KEPT || at < Date.now() - KEPT_MS) localStorage.removeItem(key);
    }
  } catch {
    // as above
  }
}
