/**
 * The cells of boards that people draw in text, without frames, rulings and other programs' blanks:
 * the rules of `gram_core/puzzles/body.py`, so that what is posted is read here too; and lists.
 */

const CROSSES = /^[-+=:]*$/;
const STROKES = /[-=]{3}/;
const RULING = /^[-+=:|*.,\s]*$/;
const NUMBERS = /[[({][\d\s,None]+[\])}]/g;
const ODD_BLANKS = "xX?-·•□◦";

/**
 * Return the rows of cells of a board, of the first section where there are some; also of a board
 * in JSON: `{"grid": …}`, rows as strings or lists, or all cells in one list; or of the lists of a
 * program, in Python or C, or as numpy prints them.
 * @param {string} text
 */
export function drawnRows(text) {
  const lines = linesOf(text.normalize("NFKC")).filter((line) => line.trim() && !/^\s*#/.test(line));
  const headings = lines.flatMap((line, at) => (/^\s*\[/.test(line) ? [at] : []));
  const wanted = lines.filter((_, at) => !headings.includes(at) && !(at > headings[1]));
  return withDots(bareRows(wanted).join("\n")).split("\n");
}

/**
 * Return the object or list in a text of JSON, null where it is none.
 * @param {string} text
 * @returns {any}
 */
export function readJson(text) {
  if (!/^\s*(\{|\[\s*["[\d])/.test(text)) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("it begins like JSON and is not whole");
  }
}

/** @param {string} text */
function linesOf(text) {
  const lists = numberLists(text);
  if (lists) return lists.map((cells) => cells.map((cell) => (cell === "None" ? "." : cell)).join(""));
  const read = readJson(text);
  if (read === null) return text.split(/\r?\n/);
  const grid = read.grid ?? read;
  const rows = Array.isArray(grid) ? grid : String(grid).split(/\r?\n/);
  return rows.map((/** @type {any} */ row) =>
    Array.isArray(row) ? row.map((cell) => cell ?? ".").join("") : String(row ?? "."),
  );
}

/**
 * Return the lists of numbers in a program, null where there are none.
 * @param {string} text
 */
function numberLists(text) {
  if (/["']/.test(text)) return null;
  const lists = (text.match(NUMBERS) ?? []).map((list) => list.match(/\d+|None/g) ?? []);
  // Shorter ones are sizes, as in `int grid[9][9] = …`.
  const longest = Math.max(...lists.map(({ length }) => length));
  return lists.length > 1 ? lists.filter(({ length }) => length === longest) : null;
}

/** @param {string[]} lines */
function bareRows(lines) {
  const bare = lines.map((line) =>
    line.replace(/[¦│┃║]/g, "|").replace(/[\u2500-\u257f'"`]/g, " "),
  );
  const rows = bare.map(cellsOf);
  const dashed = rows.find((row) => row.includes("-") && !CROSSES.test(row)) ?? "";
  const isRuling = (/** @type {string} */ row, /** @type {string} */ line) =>
    CROSSES.test(row) || (STROKES.test(line) && RULING.test(line));
  const isRow = (/** @type {number} */ at) =>
    rows[at] && (rows[at] === "-".repeat(dashed.length) || !isRuling(rows[at], bare[at]));
  const drawn = [...rows.keys()].filter(isRow);
  // A separator may end each line, with no cell behind it.
  const hasEnds = drawn.every((at) => {
    const end = bare[at].replace(/ +$/, "").slice(-1);
    const isEnded = ",;\t".includes(end) && bare[at].split(end).length === drawn.length + 1;
    return isEnded && rows[at].length === drawn.length + 1;
  });
  return drawn.map((at) => (hasEnds ? rows[at].slice(0, -1) : rows[at]));
}

/**
 * Return the cells of a line; an empty field between separators is a blank cell.
 * @param {string} line
 */
function cellsOf(line) {
  const bare = line.replace(/^ *\|?|\|? *$/g, "");
  for (const separator of ["|", ",", ";", "\t"]) {
    const marks = bare.split(separator).map((field) => field.trim());
    if (marks.length > 3 && marks.every((mark) => mark.length <= 1)) {
      return marks.map((mark) => mark || ".").join("");
    }
  }
  return bare.replace(/[\s|,;]+/g, "");
}

/** @param {string} cells */
function withDots(cells) {
  const signs = new Set(cells.replace(/\n/g, ""));
  const blanks = [...signs].filter((sign) => `.0*_${ODD_BLANKS}`.includes(sign));
  const isOdd = blanks.length === 1 && ODD_BLANKS.includes(blanks[0]) && signs.size > 1;
  return isOdd ? cells.replaceAll(blanks[0], ".") : cells;
}
