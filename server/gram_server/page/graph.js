/**
 * Graphs to colour: reads JSON, DIMACS and lists of edges, finds neighbours of one colour, and draws them.
 *
 * @typedef {{vertices: number, edges: number[][], colors: number, fixed: Record<string, number>,
 *   places: number[][]}} Graph  places are (x, y) from 0 to 100, for the drawing only
 */

import { readJson } from "./drawn.js";
import { GraphBoard } from "./graph_board.js";

const MAX_VERTICES = 64;
const VERTEX_RADIUS = 5.4;
const EDGE = /^\W*(\d+)(?:\s*--\s*|\s*,\s*|\s+)(\d+)\W*$/;

/** @type {import("./families.js").Family<Graph>} */
export const graph = {
  name: "graph-coloring",
  title: "Colouring",
  hint:
    "Click the ground to add a vertex; click two vertices to join or part them; drag to move. " +
    "Keys: Enter joins, digits fix a colour, 0 frees it, Delete removes.",
  sizes: ["8", "10"],
  examples: [
    ["A cube", cube()],
    ["A wheel with a broken rim", edgeList(8, "0-1 0-2 0-3 0-4 0-5 0-6 1-2 2-3 3-4 4-5 5-6 6-7")],
    ["Two colours are fixed", edgeList(8, "0-1 1-2 2-0 2-3 3-4 4-5 5-6 6-7 7-3", { 0: 1, 4: 2 })],
    ["The Petersen graph", petersen()],
    [
      "A dense one",
      edgeList(10, "0-1 0-4 0-7 0-8 2-5 2-6 2-7 3-6 3-7 5-7 5-9 6-7 6-8 6-9 7-8 7-9"),
    ],
    ["An impossible one", edgeList(8, "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-0", { 0: 0, 1: 0 })],
  ],

  blank(size) {
    const vertices = Number(size);
    return { vertices, edges: [], colors: 3, fixed: {}, places: circle(vertices) };
  },

  sizeOf: ({ vertices }) => String(vertices),

  taskOf: ({ vertices, colors }) =>
    `graph-coloring-${vertices}${colors === 3 ? "" : `-${colors}`}`,

  parse(text) {
    const read = readEdges(text) ?? readJson(text) ?? readDimacs(text);
    const adjacency = Array.isArray(read) ? read : read.adjacency;
    return checked(Array.isArray(adjacency) ? { ...read, ...adjacent(adjacency) } : read);
  },

  format: ({ vertices, edges, colors, fixed }) =>
    `{"vertices": ${vertices}, "colors": ${colors},\n "edges": ${JSON.stringify(edges)},\n ` +
    `"fixed": ${JSON.stringify(fixed)}}`,

  toLink: ({ vertices, edges, colors, fixed, places }) =>
    JSON.stringify({ vertices, edges, colors, fixed, places: places.map((at) => at.map(Math.round)) }),

  body: ({ vertices, edges, colors, fixed }) => ({
    puzzle: "graph-coloring",
    vertices,
    edges,
    colors,
    fixed,
  }),

  clashes: (instance) => badEdges(coloursOf(null, instance), instance),

  wrongs: (answer, instance) => badEdges(coloursOf(answer, instance), instance),

  explain(clash, { fixed }) {
    const [[one], [other]] = clash.cells;
    return `vertices ${one} and ${other} are joined and both have colour ${fixed[one] + 1}`;
  },

  keyOf(answer) {
    /** @type {Map<unknown, number>} */
    const names = new Map();
    const colors = Array.isArray(answer) ? answer : [];
    const renamed = colors.map((color) => {
      if (!names.has(color)) names.set(color, names.size);
      return names.get(color);
    });
    return renamed.join();
  },

  describe: (answer) =>
    "colours " + (Array.isArray(answer) ? answer : []).map((color) => color + 1).join(", "),

  marks(answer, instance) {
    // The names of colours mean nothing, unless some are fixed: first come, first named.
    const names = new Map();
    const isFixed = Object.keys(instance.fixed).length > 0;
    return coloursOf(answer, instance).flatMap((color, vertex) => {
      if (color === null) return [];
      if (!names.has(color)) names.set(color, names.size);
      return [[String(vertex), isFixed ? color : names.get(color)]];
    });
  },

  answerOf: (marks, { vertices }) =>
    Array.from({ length: vertices }, (_, vertex) => marks.get(String(vertex)) ?? null),

  fits: ({ vertices, colors }, size) => colors <= 3 && vertices + 3 - colors <= Number(size),

  edit: (host, instance, listeners) => new GraphBoard(host, instance, listeners),

  paint(canvas, side, colors, instance, answer, before) {
    const { edges, fixed, places, vertices } = instance;
    const now = coloursOf(answer, instance);
    const earlier = before === null ? now : coloursOf(before, instance);
    const at = places.map(([x, y]) => [(x * side) / 100, (y * side) / 100]);
    for (const [one, other] of edges) {
      const isWrong = now[one] !== null && now[one] === now[other];
      canvas.strokeStyle = isWrong ? colors.bad : colors.lineStrong;
      canvas.lineWidth = isWrong ? 2 : 1;
      canvas.beginPath();
      canvas.moveTo(at[one][0], at[one][1]);
      canvas.lineTo(at[other][0], at[other][1]);
      canvas.stroke();
    }
    const radius = (VERTEX_RADIUS * side) / 100 / (vertices > 12 ? 1.5 : 1);
    for (let vertex = 0; vertex < vertices; vertex += 1) {
      const [x, y] = at[vertex];
      if (now[vertex] !== earlier[vertex]) disc(canvas, x, y, radius * 1.9, colors.change);
      const color = now[vertex];
      disc(canvas, x, y, radius * 1.15, vertex in fixed ? colors.ink : colors.card);
      disc(canvas, x, y, radius, color === null ? colors.line : colors.hues[color % 8]);
    }
  },
};

/**
 * Return vertices on a circle, the first at the top.
 * @param {number} count
 * @param {number} [radius]
 */
export function circle(count, radius = 40) {
  return Array.from({ length: count }, (_, vertex) => {
    const angle = (2 * Math.PI * vertex) / count - Math.PI / 2;
    return [50 + radius * Math.cos(angle), 50 + radius * Math.sin(angle)];
  });
}

/**
 * @param {unknown} answer
 * @param {Graph} instance
 * @returns {(number | null)[]}
 */
function coloursOf(answer, { vertices, fixed }) {
  if (Array.isArray(answer)) return answer;
  return Array.from({ length: vertices }, (_, vertex) => fixed[vertex] ?? null);
}

/**
 * Return the edges whose ends have one colour.
 * @param {(number | null)[]} colors
 * @param {Graph} instance
 */
function badEdges(colors, { edges }) {
  return edges
    .filter(([one, other]) => colors[one] !== null && colors[one] === colors[other])
    .map(([one, other]) => ({ rule: `edge ${one}-${other}`, cells: [[one], [other]] }));
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} fill
 */
function disc(canvas, x, y, radius, fill) {
  canvas.fillStyle = fill;
  canvas.beginPath();
  canvas.arc(x, y, radius, 0, 2 * Math.PI);
  canvas.fill();
}

/**
 * Return a valid graph; throws what is wrong with the input.
 * @param {any} read
 * @returns {Graph}
 */
function checked(read) {
  const { vertices, edges, colors = 3, fixed = {}, places } = read;
  if (!Number.isInteger(vertices) || vertices < 1 || vertices > MAX_VERTICES) {
    throw new Error(`vertices: a number from 1 to ${MAX_VERTICES}`);
  }
  const isVertex = (/** @type {unknown} */ value) =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) < vertices;
  const isEdge = (/** @type {any} */ edge) =>
    Array.isArray(edge) && edge.length === 2 && edge.every(isVertex) && edge[0] !== edge[1];
  if (!Array.isArray(edges) || !edges.every(isEdge)) {
    throw new Error(`edges: pairs of two vertices from 0 to ${vertices - 1}`);
  }
  if (!Number.isInteger(colors) || colors < 1 || colors > 8) {
    throw new Error("colors: a number from 1 to 8");
  }
  for (const [vertex, color] of Object.entries(fixed)) {
    if (!isVertex(Number(vertex)) || !(Number.isInteger(color) && color >= 0 && color < colors)) {
      throw new Error(`fixed: vertices to colours from 0 to ${colors - 1}`);
    }
  }
  const isPlaced = Array.isArray(places) && places.length === vertices;
  const unique = new Map(edges.map((edge) => [[...edge].sort((a, b) => a - b).join(), edge]));
  return {
    vertices,
    edges: [...unique.keys()].map((key) => key.split(",").map(Number)),
    colors,
    fixed: { ...fixed },
    places: isPlaced ? places.map(inside) : circle(vertices),
  };
}

/**
 * Return the graph of a matrix of 0 and 1, or of each vertex's neighbours.
 * @param {any[]} rows
 */
function adjacent(rows) {
  const isMatrix = rows.every((row) => row.length === rows.length && !row.some((/** @type {any} */ bit) => bit > 1));
  const edges = rows.flatMap((row, one) =>
    (isMatrix ? [...row.keys()].filter((other) => row[other]) : row).map((/** @type {any} */ other) => [one, other]),
  );
  return { vertices: rows.length, edges };
}

/** @param {any} place */
function inside(place) {
  return [0, 1].map((axis) => Math.min(Math.max(Number(place?.[axis]) || 0, 6), 94));
}

/**
 * Return the graph of edges that stand one a line, as pairs of Python or as in DOT; null where it is
 * something else. A list of lists is an adjacency.
 * @param {string} text
 */
function readEdges(text) {
  if (/^\s*\[\s*\[/.test(text)) return null;
  const body = text.replace(/^\s*(strict\s+)?graph\b[^{]*\{/, "");
  const parts = body.split(/\)\s*,|[\n;]/).filter((part) => /\w/.test(part));
  const edges = parts.map((part) => EDGE.exec(part)?.slice(1).map(Number) ?? []);
  const isWhole = edges.length > 0 && edges.every(({ length }) => length === 2);
  return isWhole ? { vertices: 1 + Math.max(...edges.flat()), edges } : null;
}

/** @param {string} text */
function readDimacs(text) {
  const lines = text.toLowerCase().split("\n").map((line) => line.trim().split(/\s+/));
  const header = lines.find(([kind]) => kind === "p");
  if (!header) throw new Error("neither JSON, edges nor DIMACS: a DIMACS graph has a line “p edge 8 12”");
  const edges = lines.filter(([kind]) => kind === "e").map(([, a, b]) => [+a - 1, +b - 1]);
  return { vertices: Number(header[2]), edges };
}

/**
 * @param {number} vertices
 * @param {string} edges
 * @param {Record<string, number>} [fixed]
 * @param {number[][]} [places]
 */
function edgeList(vertices, edges, fixed = {}, places = circle(vertices)) {
  const pairs = edges.split(" ").map((edge) => edge.split("-").map(Number));
  return JSON.stringify({ vertices, edges: pairs, colors: 3, fixed, places });
}

function cube() {
  const square = [[12, 34], [66, 34], [66, 88], [12, 88]];
  const places = [...square, ...square.map(([x, y]) => [x + 22, y - 22])];
  return edgeList(8, "0-1 1-2 2-3 3-0 4-5 5-6 6-7 7-4 0-4 1-5 2-6 3-7", {}, places);
}

function petersen() {
  const places = [...circle(5, 42), ...circle(5, 20)];
  const edges = "0-1 1-2 2-3 3-4 4-0 0-5 1-6 2-7 3-8 4-9 5-7 7-9 9-6 6-8 8-5";
  return edgeList(10, edges, {}, places);
}
