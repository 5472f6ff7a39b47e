/**
 * Queens on a board: reads and writes boards, finds attacks, and draws them.
 *
 * @typedef {{n: number, queens: number[][]}} Queens  (row, column), in order
 */

import { agreement } from "./consensus.js";
import { drawnRows, readJson } from "./drawn.js";
import { draw } from "./element.js";
import { GridBoard } from "./grid_board.js";
import { cellsOf, nameRule, repeated } from "./rules.js";
import { spritesOn } from "./sprites.js";

const CROWN =
  "M4.6 18.5 3.2 9.2l4.9 3.6L12 5.6l3.9 7.2 4.9-3.6-1.4 9.3zM4.6 19.8h14.8V22H4.6z" +
  "M1.3 7.4a1.7 1.7 0 1 0 3.4 0 1.7 1.7 0 1 0-3.4 0z" +
  "M10.2 3.8a1.8 1.8 0 1 0 3.6 0 1.8 1.8 0 1 0-3.6 0z" +
  "M19.3 7.4a1.7 1.7 0 1 0 3.4 0 1.7 1.7 0 1 0-3.4 0z";
const CROWN_SIDE = 24;
const MAX_SIDE = 64;

/** @type {import("./families.js").Family<Queens>} */
export const queens = {
  name: "nqueens",
  title: "Queens",
  hint: "Click a square, or press Enter on it, to place a queen or take it away.",
  sizes: ["8", "10"],
  examples: [
    ["8x8, one queen stands", "...Q....\n" + "........\n".repeat(7)],
    ["8x8, empty: 92 solutions", "........\n".repeat(8)],
    ["10x10, two queens stand", boardText(10, [[1, 5], [9, 8]])],
    ["10x10, empty: 724 solutions", "..........\n".repeat(10)],
    ["An impossible one", boardText(8, [[0, 3], [4, 7], [6, 1]])],
  ],

  blank: (size) => ({ n: Number(size), queens: [] }),

  sizeOf: ({ n }) => String(n),

  parse(text) {
    const read = readJson(text);
    if (read?.queens ?? read?.n) return readQueens(read);
    const drawn = drawnRows(text.replace(/[♕♛]/g, "Q").replaceAll("/", "\n"));
    const isNumbers = /^[01]*$/.test(drawn.join("")) && /1/.test(drawn.join(""));
    const lines = isNumbers ? drawn.map((line) => line.replaceAll("1", "Q")) : drawn;
    const short = lines.find((line) => line.length !== lines.length);
    if (!lines[0] || lines.length > MAX_SIDE || short !== undefined) {
      throw new Error("each row of a board needs as many squares as there are rows, Q or .");
    }
    const wrong = lines.join("").match(/[^Qq.0*_-]/);
    if (wrong) throw new Error(`“${wrong[0]}” is neither Q nor .`);
    const standing = lines.flatMap((line, row) =>
      [...line].flatMap((mark, column) => (/q/i.test(mark) ? [[row, column]] : [])),
    );
    return { n: lines.length, queens: standing };
  },

  format: ({ n, queens: standing }) => boardText(n, standing),

  toLink: ({ n, queens: standing }) => boardText(n, standing).replaceAll("\n", "/"),

  body: ({ n, queens: standing }) => ({ puzzle: "nqueens", n, queens: standing }),

  clashes: ({ queens: standing }) => attacks(standing),

  wrongs: (answer) => attacks(squares(answer)),

  explain: (clash) =>
    `${clash.cells.length} queens attack each other on ${nameRule(clash.rule ?? "")}`,

  keyOf: (answer) => JSON.stringify(answer),

  marks: (answer) => squares(answer).map((square) => [square.join(), true]),

  answerOf: (marks) => [...marks.keys()].map((square) => square.split(",").map(Number)),

  describe: (answer) =>
    "queens at " + squares(answer).map(([row, column]) => `${row + 1}-${column + 1}`).join(", "),

  edit(host, instance, { onChange }) {
    const { n } = instance;
    let current = instance;
    const toggle = (/** @type {number} */ row, /** @type {number} */ column) => {
      const others = current.queens.filter(([r, c]) => r !== row || c !== column);
      const isNew = others.length === current.queens.length;
      const standing = isNew ? [...others, [row, column]] : others;
      current = { n, queens: standing.sort((a, b) => a[0] - b[0] || a[1] - b[1]) };
      onChange(current);
    };
    const board = new GridBoard(host, {
      rows: n,
      columns: n,
      kind: "chess",
      label: `Queens, ${n} by ${n}`,
      onKey(key, row, column) {
        if (!["Enter", " ", "q", "Q"].includes(key)) return false;
        toggle(row, column);
        return true;
      },
      onPoint: toggle,
    });
    return {
      element: board.element,
      show(next, view) {
        current = next;
        const given = setOf(next.queens);
        const found = setOf(view.answer);
        const clashing = cellsOf(view.clashes);
        board.show((row, column) => {
          const at = `${row},${column}`;
          const state = given.has(at) ? "given" : found.has(at) ? "found" : "";
          const isWrong = clashing.has(at);
          const shade = (row + column) % 2 ? "dark" : "light";
          const place = `row ${row + 1}, column ${column + 1}`;
          const what = state ? `queen ${state}` : "empty";
          return {
            icon: state ? crown : undefined,
            className: `${shade} ${state} ${isWrong ? "clash" : agreement(view, at)}`,
            label: `${place}, ${what}${isWrong ? ", attacked" : ""}`,
          };
        });
      },
    };
  },

  paint(canvas, side, colors, instance, answer, before) {
    const { n } = instance;
    const step = side / n;
    const given = setOf(instance.queens);
    const standing = answer === null ? instance.queens : squares(answer);
    const earlier = setOf(before ?? answer);
    const wrong = cellsOf(attacks(standing));
    const paintSprite = spritesOn(canvas);
    for (let at = 0; at < n * n; at += 1) {
      const [row, column] = [Math.floor(at / n), at % n];
      canvas.fillStyle = (row + column) % 2 ? colors.boardDark : colors.boardLight;
      canvas.fillRect(column * step, row * step, step, step);
    }
    for (const [row, column] of standing) {
      const at = `${row},${column}`;
      if (!earlier.has(at) && answer !== null) {
        canvas.fillStyle = colors.change;
        canvas.fillRect(column * step, row * step, step, step);
      }
      const color = wrong.has(at) ? colors.bad : given.has(at) ? colors.ink : colors.accent;
      const place = { key: `crown ${color}`, x: column * step, y: row * step, side: step };
      paintSprite(place, (sprite) => paintCrown(sprite, step, color));
    }
  },
};

function crown() {
  const path = draw("path", { d: CROWN });
  return draw("svg", { viewBox: "0 0 24 24", class: "queen", "aria-hidden": "true" }, path);
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {number} side
 * @param {string} color
 */
function paintCrown(canvas, side, color) {
  const scale = (side / CROWN_SIDE) * 0.8;
  canvas.translate(side * 0.1, side * 0.08);
  canvas.scale(scale, scale);
  canvas.fillStyle = color;
  canvas.fill(new Path2D(CROWN));
}

/**
 * @param {unknown} answer
 * @returns {number[][]}
 */
function squares(answer) {
  return Array.isArray(answer) ? answer : [];
}

/**
 * Read `{"n": 8, "queens": [[0, 3]]}`, or the column of each row's queen.
 * @param {any} read
 * @returns {Queens}
 */
function readQueens({ n, queens: standing = [] }) {
  if (!Array.isArray(standing)) throw new Error("queens: pairs of row and column");
  const isColumns = standing.some((entry) => !Array.isArray(entry));
  const pairs = isColumns
    ? standing.flatMap((column, row) => (column === null || column < 0 ? [] : [[row, column]]))
    : standing;
  const side = n ?? standing.length;
  const isInside = (/** @type {any} */ value) => Number.isInteger(value) && value >= 0 && value < side;
  if (!Number.isInteger(side) || side < 1 || side > MAX_SIDE) {
    throw new Error(`n: a number from 1 to ${MAX_SIDE}`);
  }
  if (!pairs.every((pair) => pair.length === 2 && pair.every(isInside))) {
    throw new Error(`queens: pairs of row and column, from 0 to ${side - 1}`);
  }
  return { n: side, queens: pairs };
}

/** @param {unknown} answer */
function setOf(answer) {
  return new Set(squares(answer).map((cell) => cell.join()));
}

/**
 * @param {number} n
 * @param {number[][]} standing
 */
function boardText(n, standing) {
  const rows = Array.from({ length: n }, () => new Array(n).fill("."));
  for (const [row, column] of standing) rows[row][column] = "Q";
  return rows.map((row) => row.join("")).join("\n");
}

/**
 * Return the lines on which queens attack each other, named as the server names them.
 * @param {number[][]} standing
 * @returns {import("./rules.js").Clash[]}
 */
function attacks(standing) {
  const onLines = standing.flatMap(([row, column]) =>
    [
      `row ${row}`,
      `column ${column}`,
      `diagonal through ${column - row}`,
      `antidiagonal ${row + column}`,
    ].map((line) => ({ line, cell: [row, column] })),
  );
  return repeated(onLines, ({ line }) => line).map(([line, group]) => ({
    rule: line.startsWith("diagonal") ? "a diagonal" : line.replace(/^anti.*/, "a diagonal"),
    cells: group.map(({ cell }) => cell),
  }));
}
