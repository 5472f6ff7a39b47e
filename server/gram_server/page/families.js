/**
 * The puzzle families, and their interface to the page.
 *
 * @typedef {import("./rules.js").Clash} Clash
 * @typedef {{answer: unknown, shares: Map<string, number> | null, clashes: Clash[]}} View  what is
 *   shown with the instance: an answer, how many agree on each of its cells, the cells to mark
 * @typedef {{onChange: (instance: any) => void, onRefuse: (why: string) => void,
 *   maxSize: () => number}} Listeners  maxSize: the most vertices that the server takes
 * @typedef {{element: Element, show: (instance: any, view: View) => void}} Editor
 * @typedef {Record<string, string> & {hues: string[]}} Colors
 */

/**
 * @template Instance
 * @typedef {{
 *   name: string, title: string, hint: string, sizes: string[], examples: [string, string][],
 *   isUnverified?: boolean,
 *   blank: (size: string) => Instance,
 *   make?: (size: string) => Instance,
 *   sizeOf: (instance: Instance) => string,
 *   taskOf?: (instance: Instance) => string,
 *   fits?: (instance: Instance, size: string) => boolean,
 *   parse: (text: string) => Instance,
 *   format: (instance: Instance) => string,
 *   toLink: (instance: Instance) => string,
 *   body: (instance: Instance) => Record<string, unknown>,
 *   clashes: (instance: Instance) => Clash[],
 *   wrongs: (answer: unknown, instance: Instance) => Clash[],
 *   explain: (clash: Clash, instance: Instance) => string,
 *   keyOf: (answer: unknown) => string,
 *   describe: (answer: unknown, instance: Instance) => string,
 *   marks: (answer: unknown, instance: Instance) => [string, unknown][],
 *   answerOf: (marks: Map<string, any>, instance: Instance) => unknown,
 *   edit: (host: HTMLElement, instance: Instance, listeners: Listeners) => Editor,
 *   paint: (canvas: CanvasRenderingContext2D, side: number, colors: Colors,
 *     instance: Instance, answer: unknown, before: unknown) => void,
 * }} Family
 */

import { arc } from "./arc.js";
import { graph } from "./graph.js";
import { linesFamily } from "./lines.js";
import { maze } from "./maze.js";
import { queens } from "./queens.js";
import { sudoku } from "./sudoku.js";

/** @type {Family<any>[]} */
export const FAMILIES = [sudoku, queens, graph, maze, arc];

/**
 * Take up the families that the server lists and that have no board of their own here: those whose
 * example is drawn.
 * @param {import("./lines.js").Listed[]} listed
 */
export function learnFamilies(listed) {
  for (const each of listed) {
    const isKnown = FAMILIES.some(({ name }) => name === each.name);
    if (!isKnown && typeof each.example?.grid === "string") FAMILIES.push(linesFamily(each));
  }
}

/**
 * Return the family of that name, else the first.
 * @param {string | null} name
 */
export function familyOf(name) {
  return FAMILIES.find((family) => family.name === name) ?? FAMILIES[0];
}

/**
 * Return the name of an instance's task.
 * @param {Family<any>} family
 * @param {unknown} instance
 */
export function taskOf(family, instance) {
  return family.taskOf?.(instance) ?? `${family.name}-${family.sizeOf(instance)}`;
}

/**
 * Return the sizes of a family that the server has models for, or the usual ones.
 * @param {Family<any>} family
 * @param {string[] | null} tasks
 */
export function sizesOf(family, tasks) {
  if (tasks === null) return family.sizes;
  const prefix = `${family.name}-`;
  const named = tasks
    .filter((task) => task.startsWith(prefix))
    .map((task) => task.slice(prefix.length).replace(/-learned$/, ""));
  const served = [...new Set(named)].filter((size) => /^\d+(x\d+)?$/.test(size));
  return served.sort((one, other) => Number.parseInt(one) - Number.parseInt(other));
}

/**
 * Say whether the server has a model for an instance: of its size, or of one that it is padded to.
 * @param {Family<any>} family
 * @param {any} instance
 * @param {string[] | null} tasks
 */
export function isServed(family, instance, tasks) {
  if (tasks === null || tasks.includes(taskOf(family, instance))) return true;
  return sizesOf(family, tasks).some((size) => family.fits?.(instance, size) ?? false);
}

/**
 * Read a puzzle that was pasted: of this family if it can be, else of another.
 * @param {string} text
 * @param {Family<any>} family
 * @returns {{family: Family<any>, instance: any}}
 */
export function readPasted(text, family) {
  const link = /#(\S*\bis=\S+)/.exec(text);
  const fields = new URLSearchParams(link?.[1] ?? "");
  const named = /"puzzle"\s*:\s*"([a-z-]+?)(-\d|")/.exec(text)?.[1] ?? fields.get("puzzle") ??
    (/"train"\s*:/.test(text) ? "arc" : null);
  const first = FAMILIES.find(({ name }) => name === named) ?? family;
  const puzzle = fields.get("is") ?? text;
  const problems = [];
  for (const other of [first, ...(named ? [] : FAMILIES.filter((one) => one !== first))]) {
    try {
      return { family: other, instance: other.parse(puzzle) };
    } catch (error) {
      problems.push(error);
    }
  }
  throw problems[0];
}
