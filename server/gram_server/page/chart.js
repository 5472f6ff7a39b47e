/** The chart of solved trajectories and distinct solutions over supervision steps. */

import { byId, draw } from "./element.js";

const WIDTH = 480;
const HEIGHT = 190;
const LEFT = 34;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 8;

/** @param {import("./run.js").Run} run */
export function showChart(run) {
  const course = run.course;
  const last = course[course.length - 1];
  // Room after the last step, to make its result visible.
  const maxStep = Math.max(last.step * 1.06, 4);
  const maxCount = Math.max(run.width, 1);
  const x = (/** @type {number} */ step) =>
    LEFT + (step / maxStep) * (WIDTH - LEFT - RIGHT);
  const y = (/** @type {number} */ count) =>
    HEIGHT - BOTTOM - (count / maxCount) * (HEIGHT - BOTTOM - TOP);
  const end = x(last.step ? maxStep : 0);
  const solved = stairs(course.map(({ step, solved: count }) => [x(step), y(count)]), end);
  const distinct = stairs(course.map(({ step, distinct: count }) => [x(step), y(count)]), end);
  const ground = `L${end},${y(0)}L${x(0)},${y(0)}Z`;
  byId("chart").replaceChildren(
    ...lines(maxCount, y),
    ...ticks(maxStep).map((step) => text(x(step), HEIGHT - 7, String(step), "tick middle")),
    draw("path", { d: solved + ground, class: "area" }),
    draw("path", { d: solved, class: "line solved-line" }),
    draw("path", { d: distinct, class: "line distinct-line" }),
  );
  const says =
    `After ${last.step} steps ${last.solved} of ${run.width} trajectories are solved, ` +
    `with ${last.distinct} distinct solutions.`;
  byId("chart").setAttribute("aria-label", says);
}

/**
 * @param {number[][]} points
 * @param {number} end
 */
function stairs(points, end) {
  const steps = points.map(([x, y], index) =>
    index ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x},${y}`,
  );
  return `${steps.join("")}H${end}`;
}

/**
 * @param {number} maxCount
 * @param {(count: number) => number} y
 */
function lines(maxCount, y) {
  return [0, Math.round(maxCount / 2), maxCount]
    .filter((count, index, all) => all.indexOf(count) === index)
    .flatMap((count) => [
      draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(count), y2: y(count), class: "rule" }),
      text(LEFT - 7, y(count) + 4, String(count), "tick end"),
    ]);
}

/** @param {number} maxStep */
function ticks(maxStep) {
  const rough = maxStep / 5;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough) ?? 1;
  return Array.from({ length: Math.floor(maxStep / step) + 1 }, (_, index) => index * step);
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {string} kind
 */
function text(x, y, words, kind) {
  return draw("text", { x, y, class: kind }, words);
}
