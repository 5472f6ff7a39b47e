/**
 * The puzzle families, and their interface to the page.
 *
 * @typedef {import("./rules.js").Clash} Clash
 * @typedef {{answer: unknown, clashes: Clash[], reasons: string[]}} View  what is shown with the
 *   instance: an answer, the cells to mark, and the reasons
 * @typedef {{element: Element, show: (instance: any, view: View) => void}} Editor
 * @typedef {Record<string, string> & {hues: string[]}} Colors
 */

/**
 * @template Instance
 * @typedef {{
 *   name: string, title: string, hint: string, sizes: string[], examples: [string, string][],
 *   blank: (size: string) => Instance,
 *   carve?: (size: string) => Instance,
 *   sizeOf: (instance: Instance) => string,
 *   taskOf?: (instance: Instance) => string,
 *   parse: (text: string) => Instance,
 *   format: (instance: Instance) => string,
 *   toLink: (instance: Instance) => string,
 *   body: (instance: Instance) => Record<string, unknown>,
 *   clashes: (instance: Instance) => Clash[],
 *   wrongs: (answer: unknown, instance: Instance) => Clash[],
 *   explain: (clash: Clash, instance: Instance) => string,
 *   keyOf: (answer: unknown) => string,
 *   describe: (answer: unknown, instance: Instance) => string,
 *   edit: (host: HTMLElement, instance: Instance,
 *     listeners: {onChange: (instance: Instance) => void}) => Editor,
 *   paint: (canvas: CanvasRenderingContext2D, side: number, colors: Colors,
 *     instance: Instance, answer: unknown, before: unknown) => void,
 * }} Family
 */

import { graph } from "./graph.js";
import { maze } from "./maze.js";
import { queens } from "./queens.js";
import { sudoku } from "./sudoku.js";

/** @type {Family<any>[]} */
export const FAMILIES = [sudoku, queens, graph, maze];

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
  const served = tasks.filter((task) => task.startsWith(prefix));
  return served.map((task) => task.slice(prefix.length)).filter((size) => /^\d+(x\d+)?$/.test(size));
}
