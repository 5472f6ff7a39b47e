/**
 * The run that the page opens with: recorded from a server by `docs/making/page_recording.py`, as
 * the first answer of each trajectory and what each step changed.
 */

import { familyOf } from "./families.js";
import { ask } from "./server.js";

/** Code of the character that stands for cell 0. */
const FIRST_CELL = 35;

/**
 * @typedef {{start: string, changes: string[], state: string}} Recorded  one trajectory
 * @typedef {{puzzle: string, grid: string, trajectories: Recorded[], noiseless: Recorded,
 *   result: any}} Recording
 */

/** Return the puzzle of the recorded run and its events, as a server would send them. */
export async function loadRecording() {
  /** @type {Recording} */
  const recorded = await (await ask("page/recording.json")).json();
  const family = familyOf(recorded.puzzle);
  return { family, instance: family.parse(recorded.grid), events: eventsOf(recorded) };
}

/**
 * @param {Recording} recorded
 * @returns {import("./run.js").Event[]}
 */
export function eventsOf({ trajectories, noiseless, result }) {
  const courses = trajectories.map(courseOf);
  const withoutNoise = courseOf(noiseless);
  const numSteps = Math.max(...[...courses, withoutNoise].map(({ length }) => length));
  const solvedAt = new Array(numSteps).fill(0);
  for (const { length } of courses.filter((_, index) => trajectories[index].state === "solved")) {
    solvedAt[length - 1] += 1;
  }
  const events = [{ kind: "accepted", data: result }];
  for (let step = 1; step <= numSteps; step += 1) {
    const sights = courses.map((course, trajectory) => ({
      trajectory,
      ...sightOf(course, step, trajectories[trajectory].state),
    }));
    const solved = solvedAt.slice(0, step).reduce((sum, number) => sum + number, 0);
    for (const solution of result.solutions) {
      if (solution.first.step === step) events.push({ kind: "solution", data: { ...solution, votes: 1 } });
    }
    const data = {
      step,
      solved,
      solved_at: solvedAt.slice(0, step),
      trajectories: sights,
      noiseless: sightOf(withoutNoise, step, noiseless.state),
    };
    events.push({ kind: "progress", data });
  }
  return [...events, { kind: "done", data: result }];
}

/**
 * Return what is seen of a trajectory at a step.
 * @param {string[]} course
 * @param {number} step
 * @param {string} end  its state when it has ended
 */
function sightOf(course, step, end) {
  const own = Math.min(step, course.length);
  return { step: own, answer: course[own - 1], state: step < course.length ? "running" : end };
}

/**
 * Return the answers of a trajectory, step by step.
 * @param {Recorded} trajectory
 */
function courseOf({ start, changes }) {
  const cells = [...start];
  const course = [start];
  for (const changed of changes) {
    for (let at = 0; at < changed.length; at += 2) {
      cells[changed.charCodeAt(at) - FIRST_CELL] = changed[at + 1];
    }
    course.push(cells.join(""));
  }
  return course;
}
