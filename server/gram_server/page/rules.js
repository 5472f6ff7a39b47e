/**
 * Rules in all families: groups of cells, clashes within them, and their names. The server counts
 * rows from 0; the page counts from 1.
 *
 * @typedef {{rule: string | null, cells: number[][], detail?: string}} Clash
 */

const NUMBERED = /^(row|column|box) (\d+)$/;
const LONGER = /^longer than shortest: (\d+) moves instead of (\d+)$/;
const MAX_RULES = 6;

/** What is wrong where no line of cells is: the rules of mazes, and of any unfinished answer. */
const FAULTS = /** @type {Record<string, [string, string]>} */ ({
  gap: ["the path has a gap", "the path has gaps in N places"],
  branch: ["the path branches", "the path branches in N places"],
  "closed loop": ["some of it is a closed loop", "some of it is N closed loops"],
  blank: ["cells are empty", "cells are empty"],
  given: ["a given cell is changed", "given cells are changed"],
});

/**
 * Return the groups of two or more items with the same key.
 * @template T
 * @param {Iterable<T>} items
 * @param {(item: T) => string} keyOf
 * @returns {[string, T[]][]}
 */
export function repeated(items, keyOf) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups].filter(([, group]) => group.length > 1);
}

/**
 * Return a rule's name with rows, columns and the like counted from 1.
 * @param {string} rule
 */
export function nameRule(rule) {
  const match = NUMBERED.exec(rule);
  if (match) return `${match[1]} ${Number(match[2]) + 1}`;
  return rule.replace(/^(anti)?diagonal \d+$/, "a diagonal");
}

/**
 * Say in sentences what is wrong with an answer, by the rules that it breaks.
 * @param {string[]} rules
 */
export function faults(rules) {
  const counts = new Map();
  for (const rule of rules) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  const says = [];
  const broken = new Set();
  for (const [rule, number] of counts) {
    const longer = LONGER.exec(rule);
    if (rule in FAULTS) says.push(FAULTS[rule][number > 1 ? 1 : 0].replace("N", String(number)));
    else if (longer) says.push(`the path takes ${longer[1]} moves, the shortest ${longer[2]}`);
    else broken.add(nameRule(rule));
  }
  const named = [...broken];
  const edges = named.every((rule) => rule.startsWith("edge "));
  const first = named.slice(0, MAX_RULES).map((rule) => rule.replace("edge ", "")).join(", ");
  const rest = named.length > MAX_RULES ? ` and ${named.length - MAX_RULES} more` : "";
  if (named.length) {
    says.push(`${edges ? "joined vertices have one colour:" : "it breaks"} ${first}${rest}`);
  }
  return says;
}

/**
 * Return a set that tells whether a cell is in any clash.
 * @param {Clash[]} clashes
 */
export function cellsOf(clashes) {
  return new Set(clashes.flatMap((clash) => clash.cells.map((cell) => cell.join())));
}
