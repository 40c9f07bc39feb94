// Random histories through the editor's reducer: at the end, what is on disk is what was typed for that
// image, or it is kept as its draft.

import { test } from "node:test";

import fc from "fast-check";

import { ALONE, FULL, happen, TOGETHER } from "./steps.js";
import { World } from "./world.js";

/** Of each kind; scripts/test --slow runs 10,000. */
const HISTORIES = Number(process.env.CAPTIV_HISTORIES ?? 500);
const LONGEST = 80;

/** @param {[string, number][]} kinds @param {number} tabs */
function histories(kinds, tabs) {
  const what = fc.oneof(...kinds.map(([name, weight]) => ({ arbitrary: fc.constant(name), weight })));
  const step = fc.record({ what, tab: fc.nat({ max: tabs - 1 }), n: fc.nat({ max: 11 }) });
  return fc.array(step, { maxLength: LONGEST, size: "max" });
}

/** @param {[string, number][]} kinds @param {number} tabs @param {boolean} alone */
function hold(kinds, tabs, alone) {
  fc.assert(
    fc.property(histories(kinds, tabs), (steps) => {
      const world = new World(tabs, { alone });
      for (const tab of world.tabs) tab.open(0);
      for (const step of steps) happen(world, step);
      world.end();
      world.check();
    }),
    { numRuns: HISTORIES, includeErrorInReport: true },
  );
}

test("one person alone finds each text exactly as it was typed", () => hold(ALONE, 1, true));

test("with other tabs and writers no letter is lost, doubled or in another image's file", () => hold(TOGETHER, 2, false));

test("where the browser keeps no more, no letter is lost that a tab did not warn of", () => hold(FULL, 2, false));
