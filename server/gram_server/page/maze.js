/**
 * Mazes: reads and writes them, finds what is missing, makes new ones, and draws them.
 *
 * @typedef {{rows: number, columns: number, cells: string}} Maze  S, G, # and . row by row
 */

import { agreement } from "./consensus.js";
import { readJson } from "./drawn.js";
import { GridBoard } from "./grid_board.js";
import { makePad } from "./pad.js";
import { cellsOf } from "./rules.js";

const TOOLS = /** @type {[string, string][]} */ ([
  ["#", "Wall"],
  [".", "Free"],
  ["S", "Start"],
  ["G", "Goal"],
]);
const NAMES = /** @type {Record<string, string>} */ ({
  "#": "wall",
  ".": "free",
  S: "start",
  G: "goal",
});

const MAX_TRIES = 3000;
const MOVES_PER_CELL = 109 / 900;

/** @type {import("./families.js").Family<Maze>} */
export const maze = {
  name: "maze",
  title: "Maze",
  hint: "Choose what to paint and draw on the maze, or press #, ., S or G on a cell.",
  sizes: [],
  examples: [],

  blank(size) {
    const [rows, columns] = size.split("x").map(Number);
    return { rows, columns, cells: `S${".".repeat(rows * columns - 2)}G` };
  },

  make(size) {
    const [rows, columns] = size.split("x").map(Number);
    return scattered(rows, columns);
  },

  sizeOf: ({ rows, columns }) => `${rows}x${columns}`,

  parse(text) {
    const read = readJson(text);
    const rows = read?.grid ?? read ?? text;
    const lines = (Array.isArray(rows) ? rows : rows.split(/[\r\n/]+/))
      .map((/** @type {any} */ row) => (Array.isArray(row) ? row.join("") : String(row)))
      .filter((/** @type {string} */ line) => line.length > 0);
    const columns = lines[0]?.length ?? 0;
    if (!columns || lines.some((/** @type {string} */ line) => line.length !== columns)) {
      throw new Error("every row of a maze has as many cells: S, G, # and .");
    }
    const cells = lines.join("").replaceAll(" ", ".");
    const wrong = cells.match(/[^SG#.]/);
    if (wrong) throw new Error(`“${wrong[0]}” is none of S, G, # and .`);
    if (!/[SG#]/.test(cells)) throw new Error("a maze has a start S and a goal G");
    return { rows: lines.length, columns, cells };
  },

  format: (instance) => linesOf(instance).join("\n"),

  toLink: (instance) => linesOf(instance).join("/"),

  body: (instance) => ({ puzzle: "maze", grid: linesOf(instance) }),

  clashes: (instance) => [...miscounted(instance, "S"), ...miscounted(instance, "G")],

  wrongs: () => [],

  explain: (clash) =>
    clash.rule === "path" ? "walls lie between start and goal" : (clash.detail ?? ""),

  keyOf: (answer) => JSON.stringify(answer),

  marks: (answer) => pathOf(answer).map((cell) => [cell.join(), true]),

  answerOf: (marks) => [...marks.keys()].map((cell) => cell.split(",").map(Number)),

  fits: ({ rows, columns }, size) => {
    const [most, widest] = size.split("x").map(Number);
    return rows <= most && columns <= widest;
  },

  describe: (answer) => `a path of ${Array.isArray(answer) ? answer.length : 0} cells`,

  edit(host, instance, { onChange }) {
    let current = instance;
    let tool = "#";
    const put = (/** @type {string} */ mark, /** @type {number} */ at) => {
      const cells = [...current.cells];
      if (mark === "S" || mark === "G") {
        const old = cells.indexOf(mark);
        if (old >= 0) cells[old] = ".";
      }
      cells[at] = mark;
      if (cells.join("") === current.cells) return;
      current = { ...current, cells: cells.join("") };
      onChange(current);
    };
    const board = new GridBoard(host, {
      rows: instance.rows,
      columns: instance.columns,
      kind: "maze",
      label: `Maze, ${instance.rows} by ${instance.columns}`,
      isPainted: true,
      onKey(key, row, column) {
        const mark = key === " " || key === "Backspace" ? "." : key.toUpperCase();
        if (!(mark in NAMES)) return false;
        put(mark, row * instance.columns + column);
        return true;
      },
      onPoint: (row, column) => put(tool, row * instance.columns + column),
    });
    host.append(
      toolPad((mark) => {
        tool = mark;
      }),
    );
    return {
      element: board.element,
      show(next, view) {
        current = next;
        const path = cellsOf([{ rule: null, cells: pathOf(view.answer) }]);
        const clashing = cellsOf(view.clashes);
        board.show((row, column) => {
          const at = `${row},${column}`;
          const mark = next.cells[row * next.columns + column];
          const kind = path.has(at) && mark === "." ? "path" : NAMES[mark];
          const isWrong = clashing.has(at);
          return {
            text: mark === "S" || mark === "G" ? mark : "",
            className: `${kind} ${isWrong ? "clash" : agreement(view, at)}`,
            label: `row ${row + 1}, column ${column + 1}, ${kind}${isWrong ? ", clashes" : ""}`,
          };
        });
      },
    };
  },

  paint(canvas, side, colors, instance, answer, before) {
    const { rows, columns, cells } = instance;
    const step = side / Math.max(rows, columns);
    const [left, top] = [(side - step * columns) / 2, (side - step * rows) / 2];
    const earlier = cellsOf([{ rule: null, cells: pathOf(before ?? answer) }]);
    const fill = (/** @type {number} */ row, /** @type {number} */ column, /** @type {string} */ color) => {
      canvas.fillStyle = color;
      canvas.fillRect(left + column * step, top + row * step, step + 0.5, step + 0.5);
    };
    [...cells].forEach((mark, at) => {
      if (mark === "#") fill(Math.floor(at / columns), at % columns, colors.lineStrong);
    });
    for (const [row, column] of pathOf(answer)) {
      fill(row, column, earlier.has(`${row},${column}`) ? colors.accent : colors.change);
    }
    for (const [mark, color] of [["S", colors.good], ["G", colors.bad]]) {
      const at = cells.indexOf(mark);
      if (at >= 0) fill(Math.floor(at / columns), at % columns, color);
    }
  },
};

/** @param {(mark: string) => void} onChoose */
function toolPad(onChoose) {
  const choose = (/** @type {number} */ index) => {
    [...pad.children].forEach((key, other) =>
      key.setAttribute("aria-pressed", String(other === index)),
    );
    onChoose(TOOLS[index][0]);
  };
  const pad = makePad(
    TOOLS.map(([, name], index) => ({
      text: name,
      isPressed: index === 0,
      act: () => choose(index),
    })),
    "What to paint",
  );
  return pad;
}

/** @param {Maze} instance */
function linesOf({ rows, columns, cells }) {
  return Array.from({ length: rows }, (_, row) => cells.slice(row * columns, (row + 1) * columns));
}

/**
 * @param {unknown} answer
 * @returns {number[][]}
 */
function pathOf(answer) {
  return Array.isArray(answer) ? answer : [];
}

/**
 * @param {Maze} instance
 * @param {string} mark
 */
function miscounted({ columns, cells }, mark) {
  const found = [...cells].flatMap((cell, at) =>
    cell === mark ? [[Math.floor(at / columns), at % columns]] : [],
  );
  if (found.length === 1) return [];
  const detail = `the maze has ${found.length || "no"} ${NAMES[mark]}${found.length ? "s" : ""}`;
  return [{ rule: NAMES[mark], cells: found, detail }];
}

/**
 * Scatter walls until the goal is far from the start, as in the mazes that the weights learned
 * from (`gram_core/puzzles/maze/generate.py`).
 * @param {number} rows
 * @param {number} columns
 * @returns {Maze}
 */
function scattered(rows, columns) {
  const size = rows * columns;
  /** @type {{cells: string[], away: number}} */
  let best = { cells: [], away: -1 };
  for (let tries = 0; tries < MAX_TRIES && best.away < MOVES_PER_CELL * size; tries += 1) {
    const share = 0.3 + 0.15 * Math.random();
    const cells = Array.from({ length: size }, () => (Math.random() < share ? "#" : "."));
    const anywhere = Math.floor(Math.random() * size);
    cells[anywhere] = ".";
    const [start] = farthest(cells, columns, anywhere);
    const [goal, away] = farthest(cells, columns, start);
    if (away <= best.away) continue;
    [cells[start], cells[goal]] = ["S", "G"];
    best = { cells, away };
  }
  return { rows, columns, cells: best.cells.join("") };
}

/**
 * Return a cell that is farthest from another, and how many moves.
 * @param {string[]} cells
 * @param {number} columns
 * @param {number} source
 * @returns {[number, number]}
 */
function farthest(cells, columns, source) {
  const away = new Map([[source, 0]]);
  // A map grows while it is walked: it is the queue as well.
  for (const [at, moves] of away) {
    const column = at % columns;
    const next = [at - columns, at + columns];
    if (column > 0) next.push(at - 1);
    if (column + 1 < columns) next.push(at + 1);
    for (const other of next) if (cells[other] === "." && !away.has(other)) away.set(other, moves + 1);
  }
  return /** @type {[number, number]} */ ([...away].pop());
}
