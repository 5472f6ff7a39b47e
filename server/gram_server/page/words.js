/** Texts about a run, and the summary that shows them. */

import { byId } from "./element.js";

/**
 * @param {import("./run.js").Run} run
 * @param {boolean} isIdle
 */
export function showSummary(run, isIdle) {
  const { headline, detail } = words(run, isIdle);
  byId("headline").textContent = headline;
  byId("detail").textContent = detail;
  const share = (/** @type {number} */ number) => String(number / run.width);
  byId("bar-solved").style.setProperty("--share", share(run.numSolved));
  byId("bar-failed").style.setProperty("--share", share(isIdle ? 0 : run.numFailed));
  byId("results").classList.toggle("unverified", Boolean(run.family.isUnverified));
  byId("solutions-title").textContent = run.family.isUnverified ? "Candidates, not verified" : "Distinct solutions";
  byId("results").dataset.phase = isIdle ? "idle" : run.phase;
}

/**
 * Return a headline, and a line below it.
 * @param {import("./run.js").Run} run
 * @param {boolean} isIdle
 */
export function words(run, isIdle) {
  if (run.family.isUnverified) return unverified(run, isIdle);
  if (isIdle) {
    return {
      headline: `${count(run.width, "trajectory", "trajectories")} ready to think`,
      detail: "Each starts from its own noise, looks at its own view of the puzzle, and leaves "
        + "as soon as its answer is verified.",
    };
  }
  const found = count(run.solutions.length, "distinct solution", "distinct solutions");
  const solved = `${run.numSolved} of ${run.width} verified`;
  switch (run.phase) {
    case "waiting":
      return { headline: run.why || "Waiting for the engine …", detail: "" };
    case "running":
      return { headline: `Step ${run.step}: ${solved}`, detail: `${found} so far` };
    case "stopped":
      return { headline: `Stopped at step ${run.step}: ${solved}`, detail: found };
    case "failed":
      if (!run.trajectories.size) return { headline: "Not solved", detail: run.why };
      return {
        headline: `${run.why}: ${found.replace("distinct ", "")} found before it, ${solved}`,
        detail: "What is verified stays true. Solve begins again.",
      };
    default:
      return ending(run, found, solved);
  }
}

/**
 * Return the same of a family that nothing verifies.
 * @param {import("./run.js").Run} run
 * @param {boolean} isIdle
 */
function unverified(run, isIdle) {
  const detail = "Each looks at its own view of the task and votes with its answer. "
    + "No rule verifies one: the two with most votes are shown.";
  if (isIdle) return { headline: count(run.width, "trajectory", "trajectories") + " ready to think", detail };
  if (run.phase === "waiting") return { headline: run.why || "Waiting for the engine …", detail };
  if (run.phase === "running") return { headline: `Step ${run.step}`, detail };
  if (run.phase === "stopped") return { headline: `Stopped at step ${run.step}`, detail };
  if (run.phase === "failed") return { headline: "Not answered", detail: run.why };
  const { usage } = run.result;
  return {
    headline: `${count(run.solutions.length, "candidate", "candidates")}, not verified`,
    detail: `${count(usage.supervision_steps, "supervision step", "supervision steps")} · `
      + `${(usage.engine_ms / 1000).toFixed(1)}\u00a0s`,
  };
}

/**
 * @param {import("./run.js").Run} run
 * @param {string} found
 * @param {string} solved
 */
function ending(run, found, solved) {
  const { status, usage, completeness } = run.result;
  const isEstimated = completeness?.method === "good_turing" && run.solutions.length > 1;
  const detail = [
    solved,
    count(usage.supervision_steps, "supervision step", "supervision steps"),
    `${(usage.engine_ms / 1000).toFixed(1)}\u00a0s`,
    ...(isEstimated ? [`the next would be new with a chance of ${chance(1 - completeness.estimate)}`] : []),
  ].join(" · ");
  if (run.result.unsolvable) {
    return { headline: "There is no solution", detail: run.result.unsolvable.reason };
  }
  if (status === "unsolved") return { headline: "No solution was found", detail };
  return { headline: found, detail };
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} many
 */
export function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/**
 * Say a chance that is estimated, and so is never certain.
 * @param {number} share
 */
function chance(share) {
  if (share < 0.01) return "under 1\u00a0%";
  return share > 0.99 ? "over 99\u00a0%" : `${Math.round(share * 100)}\u00a0%`;
}

/**
 * Say in how many seconds or minutes.
 * @param {number} seconds
 */
export function soon(seconds) {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} minutes`;
}
