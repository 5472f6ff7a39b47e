/** What the large board shows: the chosen answer, what trajectories agree on, or the best answer. */

import { consensusOf } from "./consensus.js";
import { faults } from "./rules.js";
import { count } from "./words.js";

/**
 * @typedef {{trajectory: number} | {solution: string} | null} Choice
 * @typedef {{answer: unknown, shares: Map<string, number> | null, reasons: string[], name: string,
 *   trajectory: number | null, solution: string | null}} Shown
 */

/** @type {Shown} */
export const NOTHING = {
  answer: null,
  shares: null,
  reasons: [],
  name: "",
  trajectory: null,
  solution: null,
};

/**
 * Return how a solution is called, or a candidate where nothing verifies one.
 * @param {import("./run.js").Run} run
 * @param {number} index
 */
export function nameOf({ family, solutions }, index) {
  if (!family.isUnverified) return `Solution ${index + 1}`;
  return `Candidate ${index + 1}, not verified, ${count(solutions[index].votes, "vote", "votes")}`;
}

/**
 * @param {import("./run.js").Run} run
 * @param {Choice} choice
 * @returns {Shown}
 */
export function shownOf(run, choice) {
  if (choice && "trajectory" in choice) {
    const { answer = null } = run.trajectories.get(choice.trajectory) ?? {};
    return { ...NOTHING, ...choice, answer, name: `Trajectory ${choice.trajectory}` };
  }
  const key = choice && "solution" in choice ? choice.solution : run.solutions[0]?.key;
  const index = run.solutions.findIndex((solution) => solution.key === key);
  if (index >= 0 && (choice || !run.isLive)) {
    const { answer } = run.solutions[index];
    return { ...NOTHING, answer, solution: key, name: nameOf(run, index) };
  }
  const attempt = run.result?.best_attempt;
  if (attempt) {
    const reasons = faults(attempt.violations.map((/** @type {any} */ { rule }) => rule));
    return { ...NOTHING, answer: attempt.answer, reasons, name: "Nearest, not a solution" };
  }
  const consensus = consensusOf(run);
  const name = run.trajectories.size > 1 ? `What ${run.trajectories.size} trajectories agree on` : "Trajectory 0";
  return consensus === null ? NOTHING : { ...NOTHING, ...consensus, name };
}
