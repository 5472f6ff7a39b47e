/**
 * The trajectories as small boards, highlighted when verified. Before a run all show the puzzle.
 */

import { currentColors } from "./colors.js";
import { byId, make } from "./element.js";

/** Trajectories that are shown, and asked for. */
export const MAX_SHOWN = 64;
const SAYS = { running: "thinking", solved: "verified", halted: "gave up", exhausted: "not solved" };

/**
 * @typedef {{item: HTMLButtonElement, canvas: HTMLCanvasElement, note: HTMLElement,
 *   drawn: string}} Tile
 */

export class Trajectories {
  /** @param {(index: number) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    /** @type {HTMLElement} */
    this.list = byId("trajectories");
    /** @type {Tile[]} */
    this.tiles = [];
    this.colors = currentColors();
    this.side = 88;
    /** The board that was painted last. */
    this.last = { element: document.createElement("canvas"), picture: "" };
  }

  /** Redraw after a change of theme or window size. */
  recolor() {
    this.colors = currentColors();
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
    this.resize(Math.min(run.width, MAX_SHOWN));
    this.side = this.tiles[0].canvas.clientWidth || this.side;
    this.list.classList.toggle("idle", isIdle);
    this.tiles.forEach((tile, index) => this.showTile(tile, index, run, chosen === index));
    const rest = run.width - this.tiles.length;
    byId("trajectories-rest").textContent = rest > 0 ? `and ${rest} more` : "";
  }

  /**
   * @param {Tile} tile
   * @param {number} index
   * @param {import("./run.js").Run} run
   * @param {boolean} isChosen
   */
  showTile(tile, index, run, isChosen) {
    const { state = "waiting", step = 0, answer = null, before = null } =
      run.trajectories.get(index) ?? {};
    tile.item.setAttribute("aria-pressed", String(isChosen));
    const drawn = JSON.stringify([state, answer, before, run.family.name, run.instance]);
    if (drawn === tile.drawn) return;
    tile.drawn = drawn;
    tile.item.className = `tile ${state}`;
    const says = state === "waiting" ? "waits" : SAYS[state];
    tile.item.setAttribute("aria-label", `Trajectory ${index}: ${says}${step ? `, step ${step}` : ""}`);
    tile.note.textContent = step ? `step ${step}` : "";
    this.paint(tile.canvas, run, answer, state === "running" ? before : null);
  }

  /**
   * Paint a board, or copy the last one if it is the same, as all are before a run.
   * @param {HTMLCanvasElement} element
   * @param {import("./run.js").Run} run
   * @param {unknown} answer
   * @param {unknown} before
   */
  paint(element, run, answer, before) {
    const side = this.side;
    const density = Math.min(devicePixelRatio, 3);
    element.width = element.height = Math.round(side * density);
    const canvas = element.getContext("2d");
    if (!canvas) return;
    const picture = JSON.stringify([run.family.name, run.instance, answer, before, side, density]);
    if (this.last.element.isConnected && this.last.picture === picture) {
      canvas.drawImage(this.last.element, 0, 0);
      return;
    }
    this.last = { element, picture };
    canvas.scale(density, density);
    canvas.fillStyle = this.colors.card;
    canvas.fillRect(0, 0, side, side);
    run.family.paint(canvas, side, this.colors, run.instance, answer, before);
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
        { type: "button", class: "tile waiting", onclick: () => this.onChoose(index) },
        canvas,
        make("span", { class: "caption", "aria-hidden": "true" }, name, note),
      )
    );
    this.list.append(make("li", {}, item));
    this.tiles.push({ item, canvas, note, drawn: "" });
  }
}
