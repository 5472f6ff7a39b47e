/**
 * Sudoku of 9x9, 6x6 and 4x4: reads and writes grids, finds repeated digits, and draws boards.
 *
 * @typedef {{size: number, cells: number[]}} Sudoku  0 for a blank
 */

import { agreement } from "./consensus.js";
import { drawnRows } from "./drawn.js";
import { GridBoard } from "./grid_board.js";
import { makePad } from "./pad.js";
import { cellsOf, nameRule, repeated } from "./rules.js";
import { spritesOn } from "./sprites.js";

const BOXES = /** @type {Record<number, [number, number]>} */ ({
  4: [2, 2],
  6: [2, 3],
  9: [3, 3],
});

/** @type {import("./families.js").Family<Sudoku>} */
export const sudoku = {
  name: "sudoku",
  title: "Sudoku",
  hint: "Type digits, move with the arrow keys, or paste a grid.",
  sizes: ["9x9", "6x6", "4x4"],
  examples: [
    ["An easy one", "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"],
    ["A minimal one", ".8.6.4.1.2.........41....3..9..86.4..1......8....3...59....1..24.7.......3..92.67"],
    ["A hard one", "..96..4....7.4...5.....39........52.2.851............41.......3.45.9...6.....8..."],
    ["6x6 with three solutions", ".5...1...2..4.....2154...4.......3.."],
    ["4x4 with many solutions", "....2...3.1....3"],
    ["An impossible one", "5...5....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"],
  ],

  blank(size) {
    const side = Number.parseInt(size, 10);
    return { size: side, cells: new Array(side * side).fill(0) };
  },

  sizeOf: ({ size }) => `${size}x${size}`,

  parse(text) {
    // Banks of puzzles have names, ratings and the solution beside it.
    const [line, more] = (text.match(/(?<![\d.*_])[\d.*_]{81}(?![\d.*_])/g) ?? []).filter((cells) => /\D|0/.test(cells));
    const marks = [...(line && !more ? line : drawnRows(text).join(""))];
    const size = Math.sqrt(marks.length);
    if (!BOXES[size]) {
      throw new Error(`${marks.length} cells: a sudoku has 81, 36 or 16`);
    }
    const cells = marks.map((mark) => (".0*_".includes(mark) ? 0 : Number(mark)));
    const wrong = cells.findIndex((digit) => !(digit >= 0 && digit <= size));
    if (wrong >= 0) throw new Error(`“${marks[wrong]}” is no digit from 1 to ${size}`);
    return { size, cells };
  },

  format: ({ size, cells }) =>
    Array.from({ length: size }, (_, row) =>
      cells.slice(row * size, (row + 1) * size).map((digit) => digit || ".").join(""),
    ).join("\n"),

  toLink: ({ cells }) => cells.map((digit) => digit || ".").join(""),

  body: ({ cells }) => ({
    puzzle: "sudoku",
    grid: cells.map((digit) => digit || ".").join(""),
  }),

  clashes: (instance) => repeatedDigits(instance),

  wrongs: (answer, { size }) => repeatedDigits({ size, cells: digitsOf(answer, size) }),

  explain(clash, { size, cells }) {
    const [row, column] = clash.cells[0] ?? [0, 0];
    const digit = cells[row * size + column];
    return `${digit} stands ${clash.cells.length} times in ${nameRule(clash.rule ?? "")}`;
  },

  keyOf: (answer) => String(answer),

  marks: (answer, { size }) =>
    digitsOf(answer, size).flatMap((digit, at) => (digit ? [[String(at), digit]] : [])),

  answerOf: (marks, { size }) =>
    Array.from({ length: size * size }, (_, at) => marks.get(String(at)) ?? ".").join(""),

  describe: (answer, { size }) =>
    digitsOf(answer, size)
      .join("")
      .replace(new RegExp(`(.{${size}})(?=.)`, "g"), "$1, "),

  edit(host, instance, { onChange }) {
    const { size } = instance;
    let current = instance;
    const put = (/** @type {number} */ digit) => {
      const cells = [...current.cells];
      board.moveTo(board.row, board.column);
      cells[board.row * size + board.column] = digit;
      // Kept here at once: the next key may come before the board is drawn.
      current = { size, cells };
      onChange(current);
    };
    const board = new GridBoard(host, {
      rows: size,
      columns: size,
      kind: `sudoku size-${size}`,
      label: `Sudoku, ${size} by ${size}`,
      onKey(key) {
        if (["Backspace", "Delete", "0", ".", " "].includes(key)) put(0);
        else if (/^[1-9]$/.test(key) && Number(key) <= size) put(Number(key));
        else return false;
        return true;
      },
      onPoint() {},
    });
    const digits = Array.from({ length: size }, (_, index) => index + 1);
    const pad = makePad([
      ...digits.map((digit) => ({ text: String(digit), act: () => put(digit) })),
      { text: "⌫", label: "Clear the cell", act: () => put(0) },
    ]);
    host.append(pad);
    return {
      element: board.element,
      show(next, view) {
        current = next;
        const answer = view.answer === null ? null : digitsOf(view.answer, size);
        const clashing = cellsOf(view.clashes);
        board.show((row, column) => {
          const given = next.cells[row * size + column];
          const digit = given || answer?.[row * size + column] || 0;
          const isWrong = clashing.has(`${row},${column}`);
          const state = given ? "given" : digit ? "found" : "";
          const agreed = given ? "" : agreement(view, String(row * size + column));
          return {
            text: digit ? String(digit) : "",
            className: `${state} ${isWrong ? "clash" : agreed} ${edges(size, row, column)}`,
            label:
              `row ${row + 1}, column ${column + 1}, ` +
              `${digit ? `${digit} ${state}` : "empty"}${isWrong ? ", clashes" : ""}`,
          };
        });
      },
    };
  },

  paint(canvas, side, colors, instance, answer, before) {
    const { size, cells } = instance;
    const digits = answer === null ? cells : digitsOf(answer, size);
    const earlier = before === null ? digits : digitsOf(before, size);
    const isWrong = areRepeated(size, digits);
    const paintSprite = spritesOn(canvas);
    const step = side / size;
    canvas.fillStyle = colors.change;
    digits.forEach((digit, at) => {
      if (digit === earlier[at]) return;
      canvas.fillRect((at % size) * step, Math.floor(at / size) * step, step, step);
    });
    digits.forEach((digit, at) => {
      if (!digit) return;
      const isGiven = cells[at] > 0;
      const color = isWrong[at] ? colors.bad : isGiven ? colors.ink : colors.accent;
      const font = `${isGiven ? 700 : 500} ${step * 0.74}px ${colors.font}`;
      const place = { x: (at % size) * step, y: Math.floor(at / size) * step, side: step };
      paintSprite({ ...place, key: `${digit} ${font} ${color}` }, (sprite) => {
        Object.assign(sprite, { textAlign: "center", textBaseline: "middle", fillStyle: color, font });
        sprite.fillText(String(digit), step * 0.5, step * 0.54);
      });
    });
    paintLines(canvas, side, size, colors);
  },
};

/**
 * @param {unknown} answer
 * @param {number} size
 */
function digitsOf(answer, size) {
  return [...String(answer)].slice(0, size * size).map((mark) => Number(mark) || 0);
}

/**
 * Return the numbers of a cell's row, column and box, those of columns and boxes after the rows'.
 * @param {number} size
 * @param {number} at
 */
function unitsAt(size, at) {
  const [height, width] = BOXES[size];
  const [row, column] = [Math.floor(at / size), at % size];
  const box = Math.floor(row / height) * (size / width) + Math.floor(column / width);
  return [row, size + column, 2 * size + box];
}

/**
 * Return for each cell whether its digit stands again in its row, column or box.
 * @param {number} size
 * @param {number[]} cells
 */
function areRepeated(size, cells) {
  const counts = new Uint8Array(3 * size * (size + 1));
  const places = cells.map((digit, at) => unitsAt(size, at).map((unit) => unit * (size + 1) + digit));
  for (const three of places) for (const place of three) counts[place] += 1;
  return cells.map((digit, at) => digit > 0 && places[at].some((place) => counts[place] > 1));
}

/**
 * Return every digit that stands more than once in a row, column or box.
 * @param {Sudoku} instance
 * @returns {import("./rules.js").Clash[]}
 */
function repeatedDigits({ size, cells }) {
  const placed = cells.flatMap((digit, at) =>
    digit ? unitsAt(size, at).map((unit) => ({ digit, unit, at })) : [],
  );
  return repeated(placed, ({ unit, digit }) => `${unit}:${digit}`).map(([, group]) => ({
    rule: `${["row", "column", "box"][Math.floor(group[0].unit / size)]} ${group[0].unit % size}`,
    cells: group.map(({ at }) => [Math.floor(at / size), at % size]),
  }));
}

/**
 * Return the classes of a cell at the edge of its box.
 * @param {number} size
 * @param {number} row
 * @param {number} column
 */
function edges(size, row, column) {
  const [height, width] = BOXES[size];
  const isRight = (column + 1) % width === 0 && column + 1 < size;
  const isBottom = (row + 1) % height === 0 && row + 1 < size;
  return `${isRight ? "edge-right" : ""} ${isBottom ? "edge-bottom" : ""}`;
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {number} side
 * @param {number} size
 * @param {import("./families.js").Colors} colors
 */
function paintLines(canvas, side, size, colors) {
  const [height, width] = BOXES[size];
  canvas.strokeStyle = colors.lineStrong;
  canvas.lineWidth = 1;
  canvas.beginPath();
  for (let column = width; column < size; column += width) {
    const x = Math.round((column * side) / size) + 0.5;
    canvas.moveTo(x, 0);
    canvas.lineTo(x, side);
  }
  for (let row = height; row < size; row += height) {
    const y = Math.round((row * side) / size) + 0.5;
    canvas.moveTo(0, y);
    canvas.lineTo(side, y);
  }
  canvas.stroke();
}
