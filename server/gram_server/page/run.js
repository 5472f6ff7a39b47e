/**
 * One run: its trajectories and solutions so far, from the events of the stream. Knows nothing of
 * the page.
 *
 * @typedef {{index: number, step: number, state: "running" | "solved" | "halted" | "exhausted",
 *   answer: unknown, before: unknown}} Trajectory
 * @typedef {{answer: unknown, key: string, votes: number, source?: string,
 *   first: {trajectory: number, step: number, ms: number} | null}} Solution
 * @typedef {"waiting" | "running" | "done" | "failed" | "stopped"} Phase
 * @typedef {{kind: string, data: any}} Event
 */

export class Run {
  /**
   * @param {import("./families.js").Family<any>} family
   * @param {any} instance
   * @param {number} width
   */
  constructor(family, instance, width) {
    this.family = family;
    this.instance = instance;
    this.width = width;
    this.depth = 0;
    /** @type {string | null} */
    this.seed = null;
    /** @type {Phase} */
    this.phase = "waiting";
    /** Why it failed or waits, in words. */
    this.why = "";
    this.step = 0;
    this.numSolved = 0;
    /** How many were solved at each step, from 1. @type {number[]} */
    this.solvedAt = [];
    /** @type {Map<number, Trajectory>} */
    this.trajectories = new Map();
    /**
     * One of the same network without noise, where it was recorded.
     * @type {{answer: unknown, step: number, state: string} | null}
     */
    this.noiseless = null;
    /** @type {Solution[]} */
    this.solutions = [];
    /** @type {any} */
    this.result = null;
    /** All that was taken, to play it again. @type {Event[]} */
    this.events = [];
  }

  /** @param {Event} event */
  take(event) {
    const { kind, data } = event;
    this.events.push(event);
    if (kind === "accepted") this.begin(data);
    else if (kind === "progress") this.proceed(data);
    else if (kind === "solution") this.collect(data);
    else if (kind === "done") this.finish(data);
  }

  /** @param {any} data */
  begin(data) {
    this.phase = "running";
    this.width = data.width;
    this.depth = data.depth;
    this.seed = String(data.seed);
  }

  /** @param {any} data */
  proceed(data) {
    this.step = Math.max(this.step, data.step);
    this.numSolved = data.solved;
    this.solvedAt = data.solved_at ?? [];
    this.noiseless = data.noiseless ?? null;
    for (const { trajectory, step, answer, state } of data.trajectories ?? []) {
      const known = this.trajectories.get(trajectory);
      const isNews = !known || known.step !== step || known.state !== state;
      const before = isNews ? (known?.answer ?? null) : known.before;
      this.trajectories.set(trajectory, { index: trajectory, step, state, answer, before });
    }
    this.countVotes();
  }

  /** @param {any} data */
  collect(data) {
    const key = this.family.keyOf(data.answer);
    if (this.solutions.some((solution) => solution.key === key)) return;
    this.solutions.push({ ...data, key, votes: data.votes ?? 1 });
    this.step = Math.max(this.step, data.first?.step ?? 0);
    this.numSolved = Math.max(this.numSolved, this.solutions.length);
  }

  /** @param {any} data */
  finish(data) {
    this.phase = "done";
    this.result = data;
    this.numSolved = data.valid_trajectories;
    const found = this.family.isUnverified ? data.candidates : data.solutions;
    this.solutions = found.map((/** @type {any} */ solution) => ({
      ...solution,
      key: this.family.keyOf(solution.answer),
    }));
  }

  /** Count as votes the solved trajectories that are shown, until the result has them all. */
  countVotes() {
    /** @type {Map<string, number>} */
    const votes = new Map();
    for (const { state, answer } of this.trajectories.values()) {
      if (state !== "solved") continue;
      const key = this.family.keyOf(answer);
      votes.set(key, (votes.get(key) ?? 0) + 1);
    }
    for (const solution of this.solutions) {
      solution.votes = Math.max(solution.votes, votes.get(solution.key) ?? 0);
    }
    this.solutions.sort((one, other) => other.votes - one.votes);
  }

  /**
   * Points of the chart, one for each step: every trajectory counts at the step it took itself.
   * @returns {{step: number, solved: number, distinct: number}[]}
   */
  get course() {
    const points = [{ step: 0, solved: 0, distinct: 0 }];
    for (let step = 1; step <= this.step; step += 1) {
      const { solved, distinct } = points[step - 1];
      const firsts = this.solutions.filter(({ first }) => first?.step === step).length;
      points.push({
        step,
        solved: solved + (this.solvedAt[step - 1] ?? 0),
        distinct: distinct + firsts,
      });
    }
    return points;
  }

  get isLive() {
    return this.phase === "waiting" || this.phase === "running";
  }

  /** How many trajectories are known to have ended without a solution. */
  get numFailed() {
    if (this.family.isUnverified) return 0;
    if (this.phase === "done") return this.width - this.numSolved;
    const shown = [...this.trajectories.values()];
    return shown.filter(({ state }) => state === "halted" || state === "exhausted").length;
  }
}
