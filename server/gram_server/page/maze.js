/**
 * Mazes: reads and writes them, finds what is missing, carves new ones, and draws them.
 *
 * @typedef {{rows: number, columns: number, cells: string}} Maze  S, G, # and . row by row
 */

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

  carve(size) {
    const [rows, columns] = size.split("x").map(Number);
    return carved(rows, columns);
  },

  sizeOf: ({ rows, columns }) => `${rows}x${columns}`,

  parse(text) {
    const lines = text.split(/[\n/]/).filter((line) => line.length > 0);
    const columns = lines[0]?.length ?? 0;
    if (!columns || lines.some((line) => line.length !== columns)) {
      throw new Error("every row of a maze has as many cells: S, G, # and .");
    }
    const cells = lines.join("").replaceAll(" ", ".");
    const wrong = cells.match(/[^SG#.]/);
    if (wrong) throw new Error(`“${wrong[0]}” is none of S, G, # and .`);
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
            className: `${kind} ${isWrong ? "clash" : ""}`,
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
 * Carve a maze by a random depth-first walk; removing some walls adds further ways.
 * @param {number} rows
 * @param {number} columns
 */
function carved(rows, columns) {
  const cells = new Array(rows * columns).fill("#");
  const stack = [[0, 0]];
  cells[0] = ".";
  while (stack.length) {
    const [row, column] = stack[stack.length - 1];
    const ahead = [[-2, 0], [2, 0], [0, -2], [0, 2]]
      .map(([down, right]) => [row + down, column + right])
      .filter(([r, c]) => r >= 0 && c >= 0 && r < rows && c < columns)
      .filter(([r, c]) => cells[r * columns + c] === "#");
    if (!ahead.length) {
      stack.pop();
      continue;
    }
    const [r, c] = ahead[Math.floor(Math.random() * ahead.length)];
    cells[r * columns + c] = cells[((row + r) / 2) * columns + (column + c) / 2] = ".";
    stack.push([r, c]);
  }
  cells[0] = "S";
  // A cell that the walk reached: one opened below may be unreachable.
  const goal = cells.lastIndexOf(".");
  cells[goal < 0 ? cells.length - 1 : goal] = "G";
  for (let count = 0; count < (rows * columns) / 40; count += 1) {
    const at = Math.floor(Math.random() * cells.length);
    if (cells[at] === "#") cells[at] = ".";
  }
  return { rows, columns, cells: cells.join("") };
}
