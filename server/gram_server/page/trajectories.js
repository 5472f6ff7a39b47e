/**
 * The trajectories as small boards, highlighted when verified. Before a run all show the puzzle.
 * Words change at once; boards are painted in the frames that follow, some in each, and until all
 * are painted the list is busy.
 */

import { density, paintBoard, resized } from "./board_canvas.js";
import { currentColors } from "./colors.js";
import { byId, make } from "./element.js";
import { faults } from "./rules.js";

/** Trajectories that are shown, and asked for. */
export const MAX_SHOWN = 64;
/** For how long one frame paints boards, at least one. What the browser does with them comes on top. */
const PAINT_MS = 4;
const SAYS = /** @type {Record<string, string>} */ ({
  waiting: "waits",
  running: "thinking",
  dropped: "stopped",
  solved: "verified",
  halted: "gave up",
  exhausted: "not solved",
});

/**
 * @typedef {{run: import("./run.js").Run, answer: unknown, before: unknown}} Board
 * @typedef {{item: HTMLButtonElement, canvas: HTMLCanvasElement, note: HTMLElement,
 *   said: string, picture: string}} Tile  picture: the board that is painted or due
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
    /** What all boards have in common. */
    this.ground = "";
    /** Boards that are to be painted, the one that waits longest first. @type {Map<Tile, Board>} */
    this.due = new Map();
    this.isAsked = false;
    /** The board that was painted last. */
    this.last = { element: document.createElement("canvas"), picture: "" };
  }

  /** Redraw after a change of theme or window size. */
  recolor() {
    this.colors = currentColors();
    this.side = 0;
    this.last.picture = "";
    this.due.clear();
    for (const tile of this.tiles) tile.picture = "";
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
    this.ground = JSON.stringify([run.family.name, run.instance, this.side, density()]);
    this.list.classList.toggle("idle", isIdle);
    this.tiles.forEach((tile, index) => {
      tile.item.setAttribute("aria-pressed", String(chosen === index));
      this.showTile(tile, index, run, isIdle);
    });
    this.paintLater();
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
    const board = { run, answer, before: state === "running" ? before : null };
    const picture = this.ground + JSON.stringify([answer, board.before]);
    // A newer board takes the place of one that still waits.
    if (picture !== tile.picture) this.due.set(tile, board);
    tile.picture = picture;
    const said = JSON.stringify([isIdle, run.isLive, state, step]);
    if (said === tile.said) return;
    tile.said = said;
    tile.item.className = `tile ${state}`;
    const does = run.family.isUnverified && state === "halted" ? "answered" : SAYS[state];
    const says = `Trajectory ${index}: ${does}${step ? `, step ${step}` : ""}`;
    tile.item.setAttribute("aria-label", says);
    tile.note.textContent = step ? `step ${step}` : run.isLive && !isIdle ? "waits" : "";
  }

  /** Paint what is due with the next frame. */
  paintLater() {
    this.list.setAttribute("aria-busy", String(this.due.size > 0));
    if (this.isAsked || !this.due.size) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      const endMs = performance.now() + PAINT_MS;
      for (const [tile, board] of this.due) {
        this.due.delete(tile);
        this.paint(tile, board);
        if (performance.now() >= endMs) break;
      }
      this.paintLater();
    });
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
   * @param {Tile} tile
   * @param {Board} board
   */
  paint({ canvas, picture }, { run, answer, before }) {
    const { last } = this;
    if (last.element.isConnected && last.element !== canvas && last.picture === picture) {
      resized(canvas, last.element.width).drawImage(last.element, 0, 0);
      return;
    }
    this.last = { element: canvas, picture };
    paintBoard(canvas, this.side, this.colors, run, answer, before);
  }

  /** @param {number} count */
  resize(count) {
    for (const tile of this.tiles.splice(count)) {
      tile.item.parentElement?.remove();
      this.due.delete(tile);
    }
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
    this.tiles.push({ item, canvas, note, said: "", picture: "" });
  }
}
