// What may happen in a history, and how often.

import { IMAGES } from "./letters.js";

/** Where one person is alone. @type {[string, number][]} */
export const ALONE = [
  ["type", 12], ["paste", 2], ["compose", 3], ["composed", 3], ["backspace", 2], ["next", 5], ["previous", 1], ["jump", 1],
  ["save", 2], ["close", 1], ["open", 3], ["deliver", 14], ["hear", 3], ["lose", 3], ["offline", 1], ["online", 2], ["restart", 1],
  ["discard", 1], ["regret", 3],
];
/** With other tabs and another writer. @type {[string, number][]} */
export const TOGETHER = [...ALONE, ["intrude", 2], ["type over", 1], ["keep mine", 1], ["undo", 1]];
/** Where the browser has no room at times. @type {[string, number][]} */
export const FULL = [...TOGETHER, ["full", 2], ["room", 1]];

/** @param {World} world @param {{what: string, tab: number, n: number}} step */
export function happen(world, { what, tab: at, n }) {
  const tab = world.tabs[at % world.tabs.length];
  switch (what) {
    case "type": return tab.type("");
    case "paste": return tab.type("\n");
    case "compose": return tab.compose();
    case "composed": return tab.endComposition();
    case "backspace": return tab.backspace();
    case "next": return tab.next();
    case "previous": return tab.move(tab.state.index - 1);
    case "jump": return tab.move(n % IMAGES.length);
    case "save": return tab.state.open && tab.feed({ type: "save" });
    case "close": return tab.close();
    case "open": return tab.open(n);
    case "deliver": return tab.deliver(n);
    case "hear": return tab.hear();
    case "lose": return tab.lose(n);
    case "offline": return world.connect(false);
    case "online": return world.connect(true);
    case "full": return world.fill();
    case "room": world.full = false; return;
    case "restart": return tab.restart(n);
    case "intrude": return world.intrude(IMAGES[n % IMAGES.length]);
    case "type over": return tab.typeOver();
    case "keep mine": return tab.keepMine();
    case "discard": case "undo": return tab.giveUp(what);
    case "regret": return tab.regret(n % 2 ? "discard" : "undo");
    default: throw new Error(what);
  }
}
