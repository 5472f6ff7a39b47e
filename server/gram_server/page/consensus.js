/** What the trajectories of a run agree on: for each cell the most frequent value and its share. */

const NUM_LEVELS = 4;

/**
 * Return the answer of most trajectories, cell by cell, and how many share each of its cells.
 * @param {import("./run.js").Run} run
 * @returns {{answer: unknown, shares: Map<string, number>} | null}
 */
export function consensusOf({ family, instance, trajectories }) {
  /** @type {Map<string, Map<unknown, number>>} */
  const votes = new Map();
  for (const { answer } of trajectories.values()) {
    for (const [cell, value] of family.marks(answer, instance)) {
      const counts = votes.get(cell) ?? new Map();
      votes.set(cell, counts.set(value, (counts.get(value) ?? 0) + 1));
    }
  }
  if (!votes.size) return null;
  const marks = new Map();
  const shares = new Map();
  for (const [cell, counts] of votes) {
    const [value, number] = [...counts].reduce((best, next) => (next[1] > best[1] ? next : best));
    marks.set(cell, value);
    shares.set(cell, number / trajectories.size);
  }
  return { answer: family.answerOf(marks, instance), shares };
}

/**
 * Return the class that colours a cell by how many agree, empty where it is not known.
 * @param {import("./families.js").View} view
 * @param {string} cell
 */
export function agreement({ shares }, cell) {
  const share = shares?.get(cell);
  return share === undefined ? "" : `agree-${Math.min(Math.ceil(share * NUM_LEVELS), NUM_LEVELS)}${share < 1 ? "" : " agree-all"}`;
}
