// A small chart of images a second over time: an SVG of our own with its scales, and the same in words.

import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 64;
const BARS = 60;

/** @param {string} tag @param {Record<string, string|number>} attributes */
function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * Images a second between samples, in at most `BARS` steps of equal length.
 * @param {[number, number][]} samples when, and how many had ended by then
 */
export function rates(samples) {
  if (samples.length < 2) return [];
  const [from, to] = [samples[0][0], samples[samples.length - 1][0]];
  const steps = Math.min(BARS, samples.length - 1);
  if (to <= from) return [];
  /** @param {number} at */
  const ended = (at) => {
    const next = samples.findIndex(([when]) => when >= at);
    if (next <= 0) return samples[Math.max(0, next)][1];
    const [[t0, n0], [t1, n1]] = [samples[next - 1], samples[next]];
    return n0 + ((n1 - n0) * (at - t0)) / Math.max(1, t1 - t0);
  };
  const step = (to - from) / steps;
  return Array.from({ length: steps }, (_, at) => {
    const [a, b] = [from + at * step, from + (at + 1) * step];
    return Math.max(0, ((ended(Math.min(b, to)) - ended(a)) * 1000) / step);
  });
}

/**
 * A chart between its scales: how many a second upwards, since the beginning to the right.
 * @param {[number, number][]} samples @returns {HTMLElement|null}
 */
export function chart(samples) {
  const found = rates(samples);
  const most = Math.max(...found, 0);
  if (!found.length || most <= 0) return null;
  const top = ceiling(most);
  const long = (samples[samples.length - 1][0] - samples[0][0]) / 1000;
  const words = inWords(samples, found);
  return el(
    "div",
    { class: "chart-box", role: "img", "aria-label": words, title: words },
    el("div", { class: "upwards" }, el("span", {}, `${short(top)}/s`), el("span", {}, short(top / 2)), el("span", {}, "0")),
    drawn(found, top),
    el("div", { class: "onwards" }, el("span", {}, "0"), el("span", {}, duration(long / 2)), el("span", {}, duration(long))),
  );
}

/** @param {number[]} found @param {number} top */
function drawn(found, top) {
  const made = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", preserveAspectRatio: "none", "aria-hidden": "true" });
  const level = found.length > 1 ? found : [found[0], found[0]];
  const wide = WIDTH / (level.length - 1);
  const line = level.map((perS, at) => `${at * wide},${HEIGHT - (perS / top) * HEIGHT}`);
  const rules = [0, HEIGHT / 2, HEIGHT].map((y) => svg("line", { x1: 0, x2: WIDTH, y1: y, y2: y, class: "rule", "vector-effect": "non-scaling-stroke" }));
  made.append(
    ...rules,
    svg("polygon", { points: `0,${HEIGHT} ${line.join(" ")} ${WIDTH},${HEIGHT}`, class: "under" }),
    svg("polyline", { points: line.join(" "), class: "over", "vector-effect": "non-scaling-stroke" }),
  );
  return made;
}

/** The next round number of 1, 2, 4 or 6 and zeros. @param {number} most */
function ceiling(most) {
  const unit = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 4, 6].find((n) => n * unit >= most) ?? 10) * unit;
}

/** A number of the scale, without digits that say nothing. @param {number} n */
const short = (n) => String(Number(n.toPrecision(2)));

/** @param {[number, number][]} samples @param {number[]} found */
function inWords(samples, found) {
  const [[from, before], [to, after]] = [samples[0], samples[samples.length - 1]];
  const mean = ((after - before) * 1000) / Math.max(1, to - from);
  return `Images a second over ${duration((to - from) / 1000)}: ${rate(mean)} on average, ${rate(Math.max(...found))} at most, ${rate(found[found.length - 1])} at the end.`;
}

/** @param {number} perS */
export const rate = (perS) => (perS >= 10 ? String(Math.round(perS)) : perS.toFixed(1));

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
