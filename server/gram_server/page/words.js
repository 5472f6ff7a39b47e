/** Texts about a run. */

/**
 * Return a headline, and a line below it.
 * @param {import("./run.js").Run} run
 * @param {boolean} isIdle
 */
export function words(run, isIdle) {
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
      return { headline: "Waiting for the engine …", detail: "" };
    case "running":
      return { headline: `Step ${run.step}: ${solved}`, detail: `${found} so far` };
    case "stopped":
      return { headline: `Stopped at step ${run.step}: ${solved}`, detail: found };
    case "failed":
      return { headline: "Not solved", detail: "The problem is named beside the puzzle." };
    default:
      return ending(run, found, solved);
  }
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
    `${(usage.engine_ms / 1000).toFixed(1)} s`,
    ...(isEstimated ? [`the next would be new with a chance of ${percent(1 - completeness.estimate)}`] : []),
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
function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(share * 100)} %`;
}
