/**
 * Rules in all families: groups of cells, clashes within them, and their names. The server counts
 * rows from 0; the page counts from 1.
 *
 * @typedef {{rule: string | null, cells: number[][], detail?: string}} Clash
 */

const NUMBERED = /^(row|column|box|diagonal|antidiagonal) (\d+)$/;

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
  return match ? `${match[1]} ${Number(match[2]) + 1}` : rule;
}

/**
 * Return a set that tells whether a cell is in any clash.
 * @param {Clash[]} clashes
 */
export function cellsOf(clashes) {
  return new Set(clashes.flatMap((clash) => clash.cells.map((cell) => cell.join())));
}
