/**
 * The trajectories as small boards, highlighted when verified. Before a run all show the puzzle.
 */

import { density, paintBoard, resized } from "./board_canvas.js";
import { currentColors } from "./colors.js";
import { byId, make } from "./element.js";
import { faults } from "./rules.js";

/** Trajectories that are shown, and asked for. */
export const MAX_SHOWN = 64;
const SAYS = /** @type {Record<string, string>} */ ({
  waiting: "waits",
  running: "thinking",
  dropped: "stopped",
  solved: "verified",
  halted: "gave up",
  exhausted: "not solved",
});

/**
 * @typedef {{item: HTMLButtonElement, canvas: HTMLCanvasElement, note: HTMLElement,
 *   drawn: string}} Tile
 */

export class Trajectories {
  /**
   * @param {import("./run.js").Run} run
   * @param {(index: number) => void} onChoose
   */
  constructor(run, onChoose) {
    this.run = run;
    this.onChoose = onChoose;
    /** @type {HTMLElement} */
    this.list = byId("trajectories");
    /** @type {Tile[]} */
    this.tiles = [];
    this.colors = currentColors();
    /** How wide the boards are; 0 where that is to be measured. */
    this.side = 0;
    /** The board that was painted last. */
    this.last = { element: document.createElement("canvas"), picture: "" };
  }

  /** Redraw after a change of theme or window size. */
  recolor() {
    this.colors = currentColors();
    this.side = 0;
    this.last.picture = "";
    for (const tile of this.tiles) tile.drawn = "";
  }

  /**
   * Show a run, or the puzzle that waits for one.
   * @param {import("./run.js").Run} run
   * @param {boolean} isIdle
   * @param {number | null} chosen
   */
  show(run, isIdle, chosen) {
    this.run = run;
    this.resize(Math.min(run.width, MAX_SHOWN));
    // Measured once: it lets the browser lay out the page before it has to.
    this.side ||= this.tiles[0].canvas.clientWidth;
    this.list.classList.toggle("idle", isIdle);
    this.tiles.forEach((tile, index) => {
      tile.item.setAttribute("aria-pressed", String(chosen === index));
      this.showTile(tile, index, run, isIdle);
    });
    const rest = run.width - this.tiles.length;
    byId("trajectories-rest").textContent = rest > 0 ? `and ${rest} more` : "";
  }

  /**
   * @param {Tile} tile
   * @param {number} index
   * @param {import("./run.js").Run} run
   * @param {boolean} isIdle
   */
  showTile(tile, index, run, isIdle) {
    const known = run.trajectories.get(index);
    const { step = 0, answer = null, before = null } = known ?? {};
    const isDropped = known?.state === "running" && !run.isLive;
    const state = isDropped ? "dropped" : (known?.state ?? "waiting");
    const drawn = JSON.stringify([isIdle, state, step, answer, before, run.family.name, run.instance]);
    if (drawn === tile.drawn) return;
    tile.drawn = drawn;
    tile.item.className = `tile ${state}`;
    const says = `Trajectory ${index}: ${SAYS[state]}${step ? `, step ${step}` : ""}`;
    tile.item.setAttribute("aria-label", says);
    tile.note.textContent = step ? `step ${step}` : run.isLive && !isIdle ? "waits" : "";
    this.paint(tile.canvas, run, answer, state === "running" ? before : null);
  }

  /**
   * Say more when the pointer rests on a tile: which rules its answer breaks.
   * @param {number} index
   */
  explain(index) {
    const { item } = this.tiles[index];
    const { family, instance, trajectories } = this.run;
    const { state, answer } = trajectories.get(index) ?? {};
    const wrongs = state && state !== "solved" ? family.wrongs(answer, instance) : [];
    const broken = faults(wrongs.map(({ rule }) => rule ?? ""));
    item.title = [item.getAttribute("aria-label"), ...broken].join("; ");
  }

  /**
   * Paint a board, or copy the last one if it is the same, as all are before a run.
   * @param {HTMLCanvasElement} element
   * @param {import("./run.js").Run} run
   * @param {unknown} answer
   * @param {unknown} before
   */
  paint(element, run, answer, before) {
    const { family, instance } = run;
    const picture = JSON.stringify([family.name, instance, answer, before, this.side, density()]);
    const { last } = this;
    if (last.element.isConnected && last.element !== element && last.picture === picture) {
      resized(element, last.element.width).drawImage(last.element, 0, 0);
      return;
    }
    this.last = { element, picture };
    paintBoard(element, this.side, this.colors, run, answer, before);
  }

  /** @param {number} count */
  resize(count) {
    while (this.tiles.length > count) this.tiles.pop()?.item.parentElement?.remove();
    while (this.tiles.length < count) this.addTile(this.tiles.length);
  }

  /** @param {number} index */
  addTile(index) {
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { "aria-hidden": "true" }));
    const note = make("span", { class: "note" });
    const name = make("span", { class: "index" }, String(index));
    const item = /** @type {HTMLButtonElement} */ (
      make(
        "button",
        {
          type: "button",
          class: "tile waiting",
          onclick: () => this.onChoose(index),
          onpointerenter: () => this.explain(index),
        },
        canvas,
        make("span", { class: "caption", "aria-hidden": "true" }, name, note),
      )
    );
    this.list.append(make("li", {}, item));
    this.tiles.push({ item, canvas, note, drawn: "" });
  }
}
