// Puts the parts of the page together.

import { Refusal, send } from "./api.js";
import { Captioning } from "./captioning.js";
import { byId, count, el, plural } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Editor } from "./editor.js";
import { Edits } from "./edits.js";
import { Filters } from "./filters.js";
import { Gallery, ofAll } from "./gallery.js";
import { Listing } from "./listing.js";
import { Live } from "./live.js";
import { notice } from "./notices.js";
import { Pods } from "./pods.js";
import { may } from "./rights.js";
import { listingRow, selectionRow } from "./rows.js";
import { Runs } from "./runs.js";
import { Selection } from "./selection.js";
import { Settings } from "./settings.js";
import { Share } from "./share.js";
import { Sight } from "./sight.js";
import { Tree } from "./tree.js";
import { Views } from "./views.js";

const views = new Views();
const LATER_MS = 700;

const live = new Live();
const drafts = new Drafts();
const listing = new Listing(drafts);
const selection = new Selection();
const tree = new Tree(byId("tree"));
const filters = new Filters(tree);
const gallery = new Gallery(byId("gallery"), listing, selection, drafts);
const editor = new Editor(drafts);
const sight = new Sight(selection, listing);
const edits = new Edits(selection, listing, sight);
const captioning = new Captioning();
const runs = new Runs();
const pods = new Pods();
const settings = new Settings();
const share = new Share();

/** @type {{images: number, complete: boolean, problems: {path: string, reason: string}[], more_problems: number, unread: string}} */
let folder = { images: 0, complete: false, problems: [], more_problems: 0, unread: "" };
/** Which state of the folder captiv had when it last greeted this tab; -1 before. */
let greeted = -1;
/** Whether something changed that a new listing would show. */
let behind = false;
/** Whether the next listing is another one, seen from its beginning. */
let fresh = true;

/** The listing that is being made now, or was made last. */
let newest = Promise.resolve();

/** Makes the listing anew, and ends when it, or a newer one, is shown. @param {"start"|"stay"} where */
function look(where) {
  newest = renew(where);
  return newest;
}

/** From its beginning, or with everything where it is. @param {"start"|"stay"} where */
async function renew(where) {
  behind = false;
  fresh ||= where === "start";
  /** @type {string|undefined} */
  let active;
  try {
    await listing.make(filters.value, fresh ? [] : gallery.pages, () => {
      active = listing.at(gallery.active)?.id;
    });
  } catch (error) {
    if (error instanceof DOMException) return newest; // a newer one overtook it
    behind = true;
    if (!(error instanceof Refusal)) throw error;
    if (error.status !== 401 && !error.lost) notice(error.message, { trouble: true });
    return;
  }
  filters.tell(listing.tally);
  if (fresh) gallery.reset();
  else gallery.keep(listing.place(active ?? "") ?? gallery.active);
  summarise();
  // Where there was nothing to show there was nothing to be on.
  if (fresh && document.activeElement === document.body) byId("gallery").focus({ preventScroll: true });
  fresh = false;
  if (listing.version < greeted) later();
}

function summarise() {
  if (!listing.id) return;
  const { total, tally } = listing;
  const reading = folder.complete ? "" : ` · reading the folder, ${count(folder.images)} so far`;
  byId("summary").textContent = `${ofAll(total, tally.all ?? total)} ${total === 1 ? "image" : "images"}${reading}${folder.unread && ` · not read: ${folder.unread}`}`;
  byId("folder-name").textContent = tree.folder?.name ?? "";
  const empty = byId("empty");
  empty.hidden = total > 0;
  byId("gallery").classList.toggle("nothing", total === 0);
  if (total === 0) empty.replaceChildren(...emptiness());
}

/** What is said where there is nothing to show. */
function emptiness() {
  const { show, text } = filters.value;
  if (!folder.complete) return [el("h2", {}, "Reading the folder…"), el("p", {}, "Pictures appear as they are found.")];
  const clear = el("button", { type: "button" }, "Show all images");
  clear.addEventListener("click", async () => {
    filters.clear();
    await newest;
    byId("gallery").focus();
  });
  if (text) return [el("h2", {}, "Nothing found"), el("p", {}, `No caption or name here holds “${text}”.`), clear];
  const words = {
    without: ["Every image has a caption", "Nothing is left to do in this folder."],
    failed: ["Nothing failed", "No image here is waiting for another attempt."],
    unsaved: ["Everything is saved", "Nothing that you typed in this browser is waiting to be saved."],
    hand: ["No caption was edited by hand", "Captions that you change here are marked, and no run overwrites them unless you ask for it."],
  }[show];
  if (words) return [el("h2", {}, words[0]), el("p", {}, words[1]), clear];
  return [
    el("h2", {}, "There are no images in this folder"),
    ...(folder.unread ? [el("p", {}, `captiv doesn't read what is here: ${folder.unread}.`)] : []),
    el("p", {}, "Put JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC files into it: they appear here by themselves. Or start captiv with another folder."),
  ];
}

// -- what changes elsewhere ------------------------------------------------------------------------

let timer = 0;
/** Makes the listing anew soon; not while somebody works through it in the editor. */
function later() {
  behind = true;
  timer ||= setTimeout(() => {
    timer = 0;
    tree.load().catch(() => {});
    if (behind && !editor.open) look("stay");
  }, LATER_MS);
}

live.addEventListener("images", (event) => {
  const { changed, more } = /** @type {CustomEvent} */ (event).detail;
  listing.update(changed);
  for (const card of changed) editor.changed(card);
  if (more) editor.changedMore();
  if (changed.length || more) later();
});

live.addEventListener("folder", (event) => {
  const found = /** @type {CustomEvent} */ (event).detail;
  // The first one tells nothing new: the listing that is under way will show it.
  const differs = greeted >= 0 && (found.images !== folder.images || found.complete !== folder.complete);
  folder = found;
  problems();
  summarise();
  if (differs) later();
});

// What changed while the socket was not open was told to nobody here.
live.addEventListener("again", (event) => {
  greeted = /** @type {CustomEvent<number>} */ (event).detail;
  editor.again();
  if (listing.id && (behind || greeted !== listing.version)) later();
});

live.addEventListener("state", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event);
  const line = byId("connection");
  line.dataset.state = detail;
  const words = {
    open: "live",
    lost: "connection lost: what you type is kept",
    ended: may("own") ? "this session has ended: open the new link from the terminal" : "the sharing has ended",
  }[/** @type {"open"|"lost"|"ended"} */ (detail)];
  line.querySelector(".words")?.replaceChildren(words);
});

let toldProblems = 0;
function problems() {
  const all = folder.problems.length + folder.more_problems;
  if (!folder.complete || all === toldProblems) return;
  toldProblems = all;
  if (!all) return;
  const [first] = folder.problems;
  const more = all > 1 ? ` and ${plural(all - 1, "other")}` : "";
  notice(`Not shown: ${first.path} ${first.reason}${more}.`, { trouble: true });
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") live.look();
});

// -- the gallery, the editor, the selection --------------------------------------------------------

listing.addEventListener("refused", (event) => {
  const error = /** @type {CustomEvent<Refusal>} */ (event).detail;
  if (error.status === 404) look("stay");
});

filters.addEventListener("change", () => {
  look("start");
  fold(false);
});

gallery.addEventListener("open", (event) => {
  const index = /** @type {CustomEvent<number>} */ (event).detail;
  editor.show(listingRow(listing, index), index);
  follows = true;
});

let follows = true;
editor.addEventListener("go", (event) => {
  if (follows) gallery.move(/** @type {CustomEvent<number>} */ (event).detail);
});
editor.addEventListener("saved", (event) => {
  listing.update([/** @type {CustomEvent} */ (event).detail]);
  later();
});
drafts.addEventListener("change", later);
editor.addEventListener("close", () => {
  byId("gallery").focus();
  if (behind) look("stay");
});

selection.addEventListener("change", () => {
  byId("selected").hidden = selection.size === 0;
  byId("selected-count").textContent = count(selection.size);
});
sight.addEventListener("change", () => {
  byId("selected-unseen").textContent = sight.hidden ? `, ${count(sight.hidden)} out of sight` : "";
});
byId("selected-clear").addEventListener("click", () => {
  gallery.clear();
  byId("gallery").focus();
});
byId("selected-edit").addEventListener("click", () => {
  follows = false;
  editor.show(selectionRow(listing, selection.ids), 0);
});

byId("selected-change").addEventListener("click", () => edits.forSelected());
const loadEdits = () => views.shown === "edits" && edits.load().catch(() => {});
views.addEventListener("show", loadEdits);
live.addEventListener("edits", loadEdits);
live.addEventListener("editing", (event) => edits.working(/** @type {CustomEvent} */ (event).detail));
loadEdits();

// -- captions that models write, and their runs ----------------------------------------------------

/** Opens the sheet for what the gallery shows. */
async function captionShown() {
  const shown = filters.value;
  const where = tree.folder?.name ?? "this folder";
  /** @type {Record<string, string>} */
  const kinds = { all: "", without: ", without a caption", failed: ", failed", hand: ", edited by hand", unsaved: ", with texts that are not saved" };
  const kind = kinds[shown.show];
  const words = `${where}${shown.deep ? " and folders below" : ""}${kind}${shown.text ? `, with “${shown.text}”` : ""}`;
  // captiv does not know which texts are not saved.
  if (shown.show === "unsaved") captioning.show({ images: await listing.ids(0, listing.total), words }, "no");
  else captioning.show({ shown, words }, "no");
}

/** Opens the sheet for the selection, or else for the image under the cursor. */
async function captionSelected() {
  const at = listing.at(gallery.active);
  if (selection.size) {
    const hidden = await sight.count().catch(() => sight.hidden);
    captioning.show({ images: selection.ids, words: sight.words(hidden) }, "yes");
  } else if (at) captioning.show({ images: [at.id], words: at.name }, "yes");
}

byId("caption-shown").addEventListener("click", captionShown);
byId("runs-begin").addEventListener("click", captionShown);
byId("selected-caption").addEventListener("click", captionSelected);
editor.addEventListener("caption", (event) => {
  const image = /** @type {CustomEvent<import("./editing/state.js").Image>} */ (event).detail;
  captioning.show({ images: [image.id], words: image.name }, "yes");
});

live.addEventListener("runs", (event) => runs.take(/** @type {CustomEvent} */ (event).detail));
const loadRuns = () => may("own") && runs.load().catch(() => {});
live.addEventListener("again", loadRuns);
runs.addEventListener("busy", (event) => {
  const { detail } = /** @type {CustomEvent<number>} */ (event);
  views.mark("runs", detail ? count(detail) : "", "at work");
});
runs.addEventListener("image", (event) => {
  const { id } = /** @type {CustomEvent} */ (event).detail;
  follows = false;
  editor.show(selectionRow(listing, [id]), 0);
});
loadRuns();

live.addEventListener("pods", (event) => pods.take(/** @type {CustomEvent} */ (event).detail));
const loadPods = () => may("own") && pods.load();
live.addEventListener("again", loadPods);
pods.addEventListener("count", (event) => {
  const { detail } = /** @type {CustomEvent<number>} */ (event);
  views.mark("pods", detail ? count(detail) : "", detail === 1 ? "pod" : "pods");
});
const watchPods = () => pods.watch(views.shown === "pods");
views.addEventListener("show", watchPods);
watchPods();
loadPods();

// -- settings --------------------------------------------------------------------------------------

const loadSettings = () => views.shown === "settings" && settings.load();
views.addEventListener("show", loadSettings);
live.addEventListener("settings", loadSettings);
loadSettings();

// -- sharing ---------------------------------------------------------------------------------------

const loadShare = () => share.load().catch(() => {});
live.addEventListener("share", loadShare);
live.addEventListener("again", loadShare);
loadShare();

// -- the rest --------------------------------------------------------------------------------------

/** Shows the folders over the images, where there is no room beside them. @param {boolean} open */
function fold(open) {
  byId("folders").classList.toggle("open", open);
  byId("open-folders").setAttribute("aria-expanded", String(open));
}
byId("open-folders").addEventListener("click", () => fold(!byId("folders").classList.contains("open")));
byId("folders").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !byId("folders").classList.contains("open")) return;
  fold(false);
  byId("open-folders").focus();
});

const keys = /** @type {HTMLDialogElement} */ (byId("keys"));
byId("show-keys").addEventListener("click", () => {
  byId("menu").hidePopover();
  keys.showModal();
});
byId("link").addEventListener("click", async () => {
  byId("menu").hidePopover();
  try {
    const { url } = await send("POST", "/api/links");
    await navigator.clipboard.writeText(url);
    notice("A link that works once, in another browser, is in your clipboard.");
  } catch (error) {
    notice(error instanceof Refusal ? error.message : "The browser would not copy the link.", { trouble: true });
  }
});

addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") filters.focus();
  else if (event.key === "?") keys.showModal();
  else if (event.key.toLowerCase() === "r" && may("own") && views.shown === "gallery") captionSelected();
  else return;
  event.preventDefault();
});

live.connect();
await Promise.all([tree.load().catch(() => {}), look("start")]);
summarise();
document.documentElement.dataset.ready = "";
