/**
 * Tasks of ARC-AGI: pairs of grids that show a rule, and a grid to apply it to. Nothing verifies an
 * answer, so there are candidates in place of solutions.
 *
 * @typedef {number[][]} Grid  rows of colours
 * @typedef {{input: Grid, output: Grid}} Pair
 * @typedef {{train: Pair[], test: Grid[], index: number}} ArcTask  index: the test grid to answer
 */

import { make } from "./element.js";
import { GridBoard } from "./grid_board.js";
import { makePad } from "./pad.js";

const MAX_SIDE = 30;
/** Pairs that a model sees. */
const NUM_SHOWN = 3;
const PALETTE = ["#000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaa", "#f012be", "#ff851b", "#7fdbff", "#870c25"];
const NAMES = ["black", "blue", "red", "green", "yellow", "grey", "pink", "orange", "light blue", "maroon"];
const LINES = "#666";
/** Pixels of a cell of a pair. */
const CELL = 16;

/** @type {import("./families.js").Family<ArcTask>} */
export const arc = {
  name: "arc",
  title: "ARC",
  hint: "Paste a task’s JSON, or open its file below. Choose a cell of the test grid and type 0 to 9 to colour it.",
  sizes: ["10x10", "30x30"],
  isUnverified: true,
  examples: [
    ["Mirrored", '{"train":[{"input":[[1,0,0],[0,2,0]],"output":[[0,0,1],[0,2,0]]},{"input":[[3,3,0],[4,0,0]],"output":[[0,3,3],[0,0,4]]}],"test":[{"input":[[0,5,5],[6,0,5]]}]}'],
    ["Renamed", '{"train":[{"input":[[1,2],[2,1]],"output":[[3,4],[4,3]]},{"input":[[2,2],[1,0]],"output":[[4,4],[3,0]]}],"test":[{"input":[[1,1],[0,2]]}]}'],
  ],

  blank(size) {
    const side = Number.parseInt(size, 10);
    const grid = () => Array.from({ length: side }, () => Array.from({ length: side }, () => 0));
    return { train: [{ input: grid(), output: grid() }], test: [grid()], index: 0 };
  },

  sizeOf({ train, test, index }) {
    const seen = train.slice(0, NUM_SHOWN).flatMap(({ input, output }) => [input, output]);
    const side = Math.max(...[...seen, test[index]].flatMap((grid) => [grid.length, grid[0].length]));
    return `${side}x${side}`;
  },

  fits: (instance, size) => Number.parseInt(arc.sizeOf(instance), 10) <= Number.parseInt(size, 10),

  parse(text) {
    const { train, test, test_index: index = 0 } = readTask(text);
    if (![train, test].every((list) => Array.isArray(list) && list.length)) {
      throw new Error("a task has pairs in “train” and grids in “test”");
    }
    if (!(index in test)) throw new Error(`“test” has no grid ${index}`);
    return {
      train: train.map((/** @type {any} */ pair, /** @type {number} */ at) => ({
        input: readGrid(pair?.input, `the input of pair ${at + 1}`),
        output: readGrid(pair?.output, `the output of pair ${at + 1}`),
      })),
      test: test.map((/** @type {any} */ { input }) => readGrid(input, "a test grid")),
      index,
    };
  },

  format: (instance) => JSON.stringify(bodyOf(instance)),
  toLink: (instance) => JSON.stringify(bodyOf(instance)),
  body: (instance) => ({ puzzle: "arc", ...bodyOf(instance) }),
  clashes: () => [],
  wrongs: () => [],
  explain: () => "",
  keyOf: (answer) => JSON.stringify(answer),
  // Trajectories agree on a whole grid or not at all.
  marks: (answer) => (answer ? [["grid", JSON.stringify(answer)]] : []),
  answerOf: (marks) => JSON.parse(marks.get("grid") ?? "null"),
  describe: (answer) => wordsOf(/** @type {Grid} */ (answer)),
  edit: (host, instance, listeners) => new ArcBoard(host, instance, listeners),

  paint(canvas, side, _colors, { test, index }, answer) {
    const grid = /** @type {Grid | null} */ (answer) ?? test[index];
    const cell = side / Math.max(grid.length, grid[0]?.length ?? 1, 1);
    paintGrid(canvas, grid, cell, (side - cell * (grid[0]?.length ?? 0)) / 2, (side - cell * grid.length) / 2);
  },
};

/** Pairs as pictures with words; the test grid and its answer as boards, of which the first is edited. */
class ArcBoard {
  /**
   * @param {HTMLElement} host
   * @param {ArcTask} instance
   * @param {import("./families.js").Listeners} listeners
   */
  constructor(host, instance, { onChange }) {
    this.onChange = onChange;
    this.instance = instance;
    this.pairs = make("ol", { class: "arc-pairs", "aria-label": "Pairs that show the rule" });
    this.pad = make("div", {});
    const [asked, answered] = ["Test grid", "Answer"].map((name) => make("div", { "data-name": name }));
    this.asked = new ArcGrid(asked, "Test grid", (row, column, color) => this.color(row, column, color));
    this.answered = new ArcGrid(answered, "Answer", () => undefined);
    this.element = make("div", { class: "arc" }, this.pairs, make("div", { class: "arc-ask" }, asked, answered), this.pad);
    host.replaceChildren(this.element);
    this.drawn = "";
  }

  /**
   * @param {ArcTask} next
   * @param {import("./families.js").View} view
   */
  show(next, view) {
    this.instance = next;
    const { train, test, index } = next;
    const drawn = JSON.stringify([train, test.length, index]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.pairs.replaceChildren(...train.map(({ input, output }, at) => {
        const [before, after] = [pictureOf(input, `Input ${at + 1}`), pictureOf(output, `Output ${at + 1}`)];
        return make("li", {}, before, make("span", { "aria-hidden": "true" }, "→"), after);
      }));
      const keys = test.map((_, at) => ({
        text: `Test grid ${at + 1}`,
        isPressed: at === index,
        act: () => this.onChange({ ...this.instance, index: at }),
      }));
      this.pad.replaceChildren(...(keys.length > 1 ? [makePad(keys, "Which test grid")] : []));
    }
    this.asked.show(test[index]);
    this.answered.show(/** @type {Grid | null} */ (view.answer) ?? []);
  }

  /**
   * @param {number} row
   * @param {number} column
   * @param {number} color
   */
  color(row, column, color) {
    const { test, index } = this.instance;
    const grid = test[index].with(row, test[index][row].with(column, color));
    // Kept here at once: the next key may come before the board is drawn.
    this.instance = { ...this.instance, test: test.with(index, grid) };
    this.onChange(this.instance);
  }
}

/** A grid as a board of cells that has the shape of what it shows. */
class ArcGrid {
  /**
   * @param {HTMLElement} host
   * @param {string} name
   * @param {(row: number, column: number, color: number) => void} onColor
   */
  constructor(host, name, onColor) {
    [this.host, this.name, this.onColor] = [host, name, onColor];
    this.shape = "";
    /** @type {GridBoard | null} */
    this.board = null;
  }

  /** @param {Grid} grid  none where it has no rows */
  show(grid) {
    const [rows, columns] = [grid.length, grid[0]?.length ?? 0];
    if (this.shape !== `${rows}x${columns}`) {
      this.shape = `${rows}x${columns}`;
      this.board = rows && columns ? this.makeBoard(rows, columns) : null;
      if (!this.board) this.host.replaceChildren(make("p", { class: "hint" }, `${this.name}: none yet`));
    }
    this.board?.show((row, column) => {
      const color = grid[row][column];
      const name = NAMES[color] ?? "no colour";
      return { className: `arc-${color}`, label: `row ${row + 1}, column ${column + 1}, ${name}` };
    });
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  makeBoard(rows, columns) {
    return new GridBoard(this.host, {
      rows,
      columns,
      kind: "arc-grid",
      label: `${this.name}, ${rows} by ${columns}`,
      onKey: (key, row, column) => {
        if (!/^\d$/.test(key)) return false;
        this.onColor(row, column, Number(key));
        return true;
      },
      onPoint() {},
    });
  }
}

/** @param {string} text */
function readTask(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Error("a task of ARC is JSON");
  }
}

/**
 * @param {any} rows
 * @param {string} name
 * @returns {Grid}
 */
function readGrid(rows, name) {
  const isSide = (/** @type {any} */ list) => Array.isArray(list) && list.length > 0 && list.length <= MAX_SIDE;
  const isRow = (/** @type {any} */ row) =>
    isSide(row) && row.length === rows[0].length && row.every((/** @type {any} */ color) => color in NAMES);
  if (!isSide(rows) || !rows.every(isRow)) {
    throw new Error(`${name} must be rows of one length, at most ${MAX_SIDE}, of the colours 0 to 9`);
  }
  return rows;
}

/** @param {ArcTask} instance */
function bodyOf({ train, test, index }) {
  const grids = test.map((input) => ({ input }));
  return { train, test: grids, ...(grids.length > 1 ? { test_index: index } : {}) };
}

/** @param {Grid} grid */
function wordsOf(grid) {
  return grid.map((row) => row.map((color) => NAMES[color] ?? "no colour").join(" ")).join("; ");
}

/**
 * @param {Grid} grid
 * @param {string} name
 */
function pictureOf(grid, name) {
  const [width, height] = [grid[0].length * CELL, grid.length * CELL];
  const says = `${name}, ${grid.length} by ${grid[0].length}: ${wordsOf(grid)}`;
  const picture = /** @type {HTMLCanvasElement} */ (make("canvas", { width, height, role: "img", "aria-label": says }));
  const canvas = picture.getContext("2d");
  if (canvas) paintGrid(canvas, grid, CELL, 0, 0);
  return picture;
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {Grid} grid
 * @param {number} cell
 * @param {number} left
 * @param {number} top
 */
function paintGrid(canvas, grid, cell, left, top) {
  Object.assign(canvas, { strokeStyle: LINES, lineWidth: Math.min(1, cell / 8) });
  grid.forEach((row, down) =>
    row.forEach((color, right) => {
      const place = /** @type {const} */ ([left + right * cell, top + down * cell, cell, cell]);
      canvas.fillStyle = PALETTE[color] ?? "transparent";
      canvas.fillRect(...place);
      canvas.strokeRect(...place);
    }),
  );
}
