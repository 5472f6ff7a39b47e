/** A run at one moment as a picture to send: the large board, the trajectories, and what is said. */

import { currentColors } from "./colors.js";
import { make } from "./element.js";
import { shownOf } from "./shown.js";
import { MAX_SHOWN } from "./trajectories.js";
import { words } from "./words.js";

/** The size that sites which show links ask for. */
const WIDTH = 1200;
const HEIGHT = 630;
const MARGIN = 48;
const BOARD = { x: MARGIN, y: 92, side: 480 };
const TILES = { x: 576, y: 176, width: WIDTH - MARGIN - 576, height: 396, gap: 8 };

/** Return a canvas of that size, that is not in the page. */
export function pictureCanvas() {
  return /** @type {HTMLCanvasElement} */ (make("canvas", { width: WIDTH, height: HEIGHT }));
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {import("./run.js").Run} run
 * @param {import("./shown.js").Choice} choice
 */
export function paintPicture(canvas, run, choice = null) {
  const colors = currentColors();
  const isIdle = !run.events.length;
  canvas.fillStyle = colors.paper;
  canvas.fillRect(0, 0, WIDTH, HEIGHT);
  const shown = shownOf(run, choice);
  const { headline, detail } = words(run, isIdle);
  canvas.textBaseline = "alphabetic";
  write(canvas, "gram", { x: MARGIN, y: 64, font: `700 34px ${colors.font}`, color: colors.ink });
  const lines = { x: TILES.x, font: `18px ${colors.font}`, color: colors.muted };
  write(canvas, "watch trajectories think", { ...lines, x: MARGIN + 104, y: 62 });
  write(canvas, headline, { ...lines, y: 118, font: `700 30px ${colors.font}`, color: colors.ink });
  write(canvas, detail, { ...lines, y: 150 });
  write(canvas, shown.name, { ...lines, x: MARGIN, y: 602, color: colors.accent });
  paintAt(canvas, BOARD, { run, colors, answer: shown.answer, edge: colors.ink });
  paintTiles(canvas, run, colors);
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {string} text
 * @param {{x: number, y: number, font: string, color: string}} style
 */
function write(canvas, text, { x, y, font, color }) {
  canvas.textAlign = "left";
  canvas.font = font;
  canvas.fillStyle = color;
  const end = x < TILES.x ? BOARD.x + BOARD.side : WIDTH - MARGIN;
  canvas.fillText(text, x, y, end - x);
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {import("./run.js").Run} run
 * @param {import("./families.js").Colors} colors
 */
function paintTiles(canvas, run, colors) {
  const number = Math.min(run.width, MAX_SHOWN);
  const { columns, side } = fitting(number);
  for (let index = 0; index < number; index += 1) {
    const { answer = null, before = null, state = "" } = run.trajectories.get(index) ?? {};
    const x = TILES.x + (index % columns) * (side + TILES.gap);
    const y = TILES.y + Math.floor(index / columns) * (side + TILES.gap);
    const isRunning = state === "running" && run.isLive;
    const edge = state === "solved" ? colors.good : isRunning ? colors.accent : colors.lineStrong;
    const was = isRunning ? before : null;
    paintAt(canvas, { x, y, side }, { run, colors, answer, before: was, edge });
  }
}

/**
 * Return in how many columns a number of tiles is largest.
 * @param {number} number
 */
function fitting(number) {
  const sides = Array.from({ length: number }, (_, index) => {
    const [columns, rows] = [index + 1, Math.ceil(number / (index + 1))];
    const across = (TILES.width + TILES.gap) / columns - TILES.gap;
    return Math.floor(Math.min(across, (TILES.height + TILES.gap) / rows - TILES.gap));
  });
  const side = Math.max(...sides);
  return { columns: sides.indexOf(side) + 1, side };
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {{x: number, y: number, side: number}} place
 * @param {{run: import("./run.js").Run, colors: import("./families.js").Colors, answer: unknown,
 *   before?: unknown, edge: string}} board
 */
function paintAt(canvas, { x, y, side }, { run, colors, answer, before = null, edge }) {
  canvas.save();
  canvas.translate(x, y);
  canvas.fillStyle = colors.card;
  canvas.fillRect(0, 0, side, side);
  run.family.paint(canvas, side, colors, run.instance, answer, before);
  canvas.restore();
  canvas.strokeStyle = edge;
  canvas.lineWidth = side > 200 || edge === colors.good ? 3 : 1.5;
  canvas.strokeRect(x, y, side, side);
}
