/**
 * Families without a board of their own here: what the server lists of them is enough to draw and
 * edit their `grid`, sign by sign. Other fields of a puzzle, such as `regions`, stay as they are.
 *
 * @typedef {{lines: string[], rest: Record<string, any>}} Lines
 * @typedef {{name: string, tasks: string[], example: Record<string, any>, walls: string}} Listed
 */

import { agreement } from "./consensus.js";
import { readJson } from "./drawn.js";
import { GridBoard } from "./grid_board.js";
import { cellsOf, nameRule } from "./rules.js";
import { spritesOn } from "./sprites.js";

const BLANK = ".";
const SIGNS = /^[\w.#<>^ ]$/;

/**
 * @param {Listed} listed
 * @returns {import("./families.js").Family<Lines>}
 */
export function linesFamily({ name, tasks, example, walls }) {
  const sizes = tasks.map((task) => task.slice(name.length + 1));
  const { grid, puzzle, ...more } = example;
  const first = linesOf(grid) ?? [BLANK];
  // Where a board has more lines than its size, every other one is between its cells.
  const step = first.length > Number.parseInt(sizes[0], 10) ? 2 : 1;
  const isCell = (/** @type {number} */ row, /** @type {number} */ column) => !(row % step || column % step);
  const sidesOf = (/** @type {Lines} */ { lines }) => [lines.length, lines[0].length];
  const gridOf = (/** @type {Lines} */ { lines }) => lines.join("\n");
  const restFor = (/** @type {string[]} */ lines) => (lines.length === first.length ? more : {});

  return {
    name,
    title: name[0].toUpperCase() + name.slice(1).replaceAll("-", " "),
    hint: "Type signs as in the text below, move with the arrow keys, or paste a puzzle.",
    sizes,
    examples: [["An example", JSON.stringify(example)]],

    blank(size) {
      const [rows, columns] = size.split("x").map((side) => Number(side) * step - step + 1);
      const lines = Array.from({ length: rows }, (_, row) =>
        Array.from({ length: columns }, (_, column) => (isCell(row, column) ? BLANK : " ")).join(""),
      );
      return { lines, rest: restFor(lines) };
    },

    sizeOf: (instance) =>
      sidesOf(instance)
        .map((side) => Math.ceil(side / step))
        .join("x"),

    parse(text) {
      const read = readJson(text);
      const { grid: posted, puzzle: _, ...rest } = read?.grid ? read : { grid: text };
      const lines = linesOf(posted);
      if (!lines || (!read && lines.length !== lines[0].length)) {
        throw new Error("a board has as many lines as cells in each");
      }
      const wrong = [...lines.join("")].find((sign) => !SIGNS.test(sign));
      if (wrong) throw new Error(`“${wrong}” is no sign of a board`);
      return { lines, rest: Object.keys(rest).length ? rest : restFor(lines) };
    },

    format: (instance) =>
      Object.keys(instance.rest).length ? JSON.stringify(bodyOf(instance)) : gridOf(instance),

    toLink: (instance) => JSON.stringify(bodyOf(instance)),

    body: (instance) => ({ puzzle: name, ...bodyOf(instance) }),

    clashes: () => [],

    wrongs: () => [],

    explain: (clash) => clash.detail ?? nameRule(clash.rule ?? ""),

    keyOf: (answer) => JSON.stringify(answer),

    marks: (answer, { lines }) =>
      found(answer, lines).map(([row, column, sign]) => [`${row},${column}`, sign]),

    answerOf: (marks, { lines }) =>
      lines
        .map((line, row) => [...line].map((sign, column) => marks.get(`${row},${column}`) ?? sign).join(""))
        .join("\n"),

    describe: (answer) => linesOf(answer)?.join(", ") ?? "",

    edit(host, instance, { onChange }) {
      const [rows, columns] = sidesOf(instance);
      let current = instance;
      const board = new GridBoard(host, {
        rows,
        columns,
        kind: "sudoku lines",
        label: `${name}, ${rows} by ${columns} signs`,
        onKey(key, row, column) {
          const isRemoved = ["Backspace", "Delete", " "].includes(key);
          const sign = isRemoved ? (isCell(row, column) ? BLANK : " ") : key;
          if (!SIGNS.test(sign)) return false;
          const line = [...current.lines[row]];
          line[column] = sign;
          // Kept here at once: the next key may come before the board is drawn.
          current = { ...current, lines: current.lines.with(row, line.join("")) };
          onChange(current);
          return true;
        },
        onPoint() {},
      });
      return {
        element: board.element,
        show(next, view) {
          current = next;
          const answer = linesOf(view.answer) ?? next.lines;
          const clashing = cellsOf(view.clashes.map(({ cells, ...clash }) => ({
            ...clash,
            cells: cells.map((cell) => cell.map((at) => at * step)),
          })));
          board.show((row, column) => {
            const at = `${row},${column}`;
            const given = next.lines[row][column];
            const sign = given === BLANK ? (answer[row]?.[column] ?? BLANK) : given;
            const state = given !== BLANK ? "given" : sign !== BLANK ? "found" : "";
            const isWrong = clashing.has(at);
            const wall = walls.includes(given) ? "dark-sign" : "";
            const agreed = given === BLANK ? agreement(view, at) : "";
            return {
              text: sign === BLANK ? "" : sign,
              className: `${state} ${wall} ${isWrong ? "clash" : agreed} ${edges(next, row, column)}`,
              label:
                `row ${row + 1}, column ${column + 1}, ` +
                `${sign === BLANK ? "empty" : `${sign} ${state}`}${isWrong ? ", clashes" : ""}`,
            };
          });
        },
      };
    },

    paint(canvas, side, colors, { lines }, answer, before) {
      const cell = side / Math.max(lines.length, lines[0].length);
      const shown = linesOf(answer) ?? lines;
      const earlier = linesOf(before) ?? shown;
      const paintSprite = spritesOn(canvas);
      lines.forEach((line, row) =>
        [...line].forEach((given, column) => {
          const isWall = walls.includes(given);
          const sign = given === BLANK ? (shown[row]?.[column] ?? BLANK) : given;
          const [x, y] = [column * cell, row * cell];
          const isNew = given === BLANK && sign !== (earlier[row]?.[column] ?? sign);
          canvas.fillStyle = isWall ? colors.lineStrong : colors.change;
          if (isWall || isNew) canvas.fillRect(x, y, cell, cell);
          if (sign === BLANK || sign === " " || sign === "#") return;
          const color = given === BLANK ? colors.accent : colors.ink;
          const font = `${given === BLANK ? 500 : 700} ${cell * 0.74}px ${colors.font}`;
          paintSprite({ key: `${sign} ${font} ${color}`, x, y, side: cell }, (sprite) => {
            Object.assign(sprite, { textAlign: "center", textBaseline: "middle", fillStyle: color, font });
            sprite.fillText(sign, cell * 0.5, cell * 0.54);
          });
        }),
      );
    },
  };
}

/** @param {Lines} instance */
function bodyOf({ lines, rest }) {
  return { grid: lines.join("\n"), ...rest };
}

/**
 * Return a drawn board by lines of one length; null where there is none.
 * @param {any} board
 * @returns {string[] | null}
 */
function linesOf(board) {
  const lines = typeof board === "string" ? board.split(/\r?\n/) : board;
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === "string")) return null;
  const filled = [lines.findIndex((line) => line.trim()), lines.findLastIndex((line) => line.trim())];
  const drawn = lines.slice(filled[0], filled[1] + 1);
  if (filled[0] < 0) return null;
  const width = Math.max(...drawn.map((line) => line.trimEnd().length));
  return drawn.map((line) => line.trimEnd().padEnd(width));
}

/**
 * Return row, column and sign of what an answer puts into open cells.
 * @param {unknown} answer
 * @param {string[]} lines
 * @returns {[number, number, string][]}
 */
function found(answer, lines) {
  const drawn = linesOf(answer) ?? [];
  return lines.flatMap((line, row) =>
    [...line].flatMap((given, column) => {
      const sign = drawn[row]?.[column];
      return given === BLANK && sign ? [/** @type {[number, number, string]} */ ([row, column, sign])] : [];
    }),
  );
}

/**
 * Return the classes of a cell at the edge of its region.
 * @param {Lines} instance
 * @param {number} row
 * @param {number} column
 */
function edges({ rest }, row, column) {
  const regions = linesOf(rest.regions);
  const own = regions?.[row]?.[column];
  if (!regions || own === undefined) return "";
  const [right, below] = [regions[row][column + 1], regions[row + 1]?.[column]];
  return `${right !== undefined && right !== own ? "edge-right" : ""} ${below !== undefined && below !== own ? "edge-bottom" : ""}`;
}
