/** The race: one trajectory, all of them, and the same network without noise, side by side. */

import { paintBoard } from "./board_canvas.js";
import { currentColors } from "./colors.js";
import { consensusOf } from "./consensus.js";
import { byId, make } from "./element.js";

const SIDE = 76;
const SAYS = /** @type {Record<string, (step: number) => string>} */ ({
  waiting: () => "waits",
  running: (step) => `thinking, step ${step}`,
  solved: (step) => `solved at step ${step}`,
  halted: (step) => `gave up at step ${step}`,
  exhausted: (step) => `not solved in ${step} steps`,
  dropped: (step) => `stopped at step ${step}`,
});

/**
 * @typedef {{name: string, answer: unknown, step: number, state: string, more: string}} Lane
 * @typedef {{item: HTMLElement, canvas: HTMLCanvasElement, name: HTMLElement, says: HTMLElement,
 *   picture: string}} Item
 * @typedef {import("./run.js").Run} Run
 */

export class Race {
  constructor() {
    this.colors = currentColors();
    this.drawn = "";
    /** @type {Item[]} */
    this.items = [];
  }

  recolor() {
    this.colors = currentColors();
    this.drawn = "";
    for (const item of this.items) item.picture = "";
  }

  /**
   * @param {Run} run
   * @param {boolean} isIdle
   */
  show(run, isIdle) {
    const lanes = isIdle ? [] : lanesOf(run);
    const drawn = JSON.stringify([lanes, run.family.name, run.instance]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    byId("race").hidden = !lanes.length;
    while (this.items.length > lanes.length) this.items.pop()?.item.remove();
    while (this.items.length < lanes.length) this.addItem();
    lanes.forEach((lane, index) => this.showLane(this.items[index], run, lane));
  }

  addItem() {
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { "aria-hidden": "true" }));
    const [name, says] = [make("strong"), make("span")];
    const item = make("li", {}, canvas, make("p", {}, name, says));
    byId("lanes").append(item);
    this.items.push({ item, canvas, name, says, picture: "" });
  }

  /**
   * @param {Item} place
   * @param {Run} run
   * @param {Lane} lane
   */
  showLane(place, run, lane) {
    const { item, canvas, name, says } = place;
    item.className = `lane ${lane.state}`;
    name.textContent = lane.name;
    says.textContent = SAYS[lane.state](lane.step) + lane.more;
    const picture = JSON.stringify([run.family.name, run.instance, lane.answer]);
    if (picture === place.picture) return;
    place.picture = picture;
    paintBoard(canvas, SIDE, this.colors, run, lane.answer);
  }
}

/**
 * Return who runs: one trajectory that was not selected, all, and where it was recorded who has no noise.
 * @param {Run} run
 * @returns {Lane[]}
 */
function lanesOf(run) {
  const isRun = run.isLive || run.trajectories.size > 0;
  if (run.width === 1 || !isRun || run.family.isUnverified) return [];
  const one = run.trajectories.get(0) ?? { answer: null, step: 0, state: "waiting" };
  return [
    laneOf("One trajectory", one, run),
    allOf(run),
    ...(run.noiseless ? [laneOf("The same network without noise", run.noiseless, run)] : []),
  ];
}

/**
 * @param {string} name
 * @param {{answer: unknown, step: number, state: string}} trajectory
 * @param {Run} run
 * @returns {Lane}
 */
function laneOf(name, { answer, step, state }, run) {
  const isDropped = (state === "running" || state === "waiting") && !run.isLive;
  return { name, answer, step, state: isDropped ? "dropped" : state, more: "" };
}

/**
 * Return the lane of all trajectories, which is through with the first that is verified.
 * @param {Run} run
 * @returns {Lane}
 */
function allOf(run) {
  const name = `${run.width} trajectories`;
  const firsts = run.solutions.flatMap(({ first }) => (first ? [first.step] : []));
  if (firsts.length) {
    const more = `; ${run.numSolved} of ${run.width} verified`;
    const { answer } = run.solutions[0];
    return { name, answer, step: Math.min(...firsts), state: "solved", more };
  }
  const ended = run.phase === "done" ? "exhausted" : "dropped";
  const state = run.isLive ? (run.step ? "running" : "waiting") : ended;
  return { name, answer: consensusOf(run)?.answer ?? null, step: run.step, state, more: "" };
}
