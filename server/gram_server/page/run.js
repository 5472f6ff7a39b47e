/**
 * One run: its trajectories and solutions so far, from the events of the stream. Knows nothing of
 * the page.
 *
 * @typedef {{index: number, step: number, state: "running" | "solved" | "halted" | "exhausted",
 *   answer: unknown, before: unknown}} Trajectory
 * @typedef {{answer: unknown, key: string, votes: number, source: string,
 *   first: {trajectory: number, step: number, ms: number} | null}} Solution
 * @typedef {"waiting" | "running" | "done" | "failed" | "stopped"} Phase
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
    this.step = 0;
    this.numSolved = 0;
    /** @type {Map<number, Trajectory>} */
    this.trajectories = new Map();
    /** @type {Solution[]} */
    this.solutions = [];
    /** @type {{step: number, solved: number, distinct: number}[]} */
    this.points = [{ step: 0, solved: 0, distinct: 0 }];
    /** @type {any} */
    this.result = null;
  }

  /**
   * @param {string} kind
   * @param {any} data
   */
  take(kind, data) {
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
    for (const { trajectory, step, answer, state } of data.trajectories ?? []) {
      const known = this.trajectories.get(trajectory);
      const isNews = !known || known.step !== step || known.state !== state;
      const before = isNews ? (known?.answer ?? null) : known.before;
      this.trajectories.set(trajectory, { index: trajectory, step, state, answer, before });
    }
    this.countVotes();
    this.note();
  }

  /** @param {any} data */
  collect(data) {
    const key = this.family.keyOf(data.answer);
    if (this.solutions.some((solution) => solution.key === key)) return;
    this.solutions.push({ ...data, key, votes: data.votes ?? 1 });
    this.step = Math.max(this.step, data.first?.step ?? 0);
    this.numSolved = Math.max(this.numSolved, this.solutions.length);
    this.note();
  }

  /** @param {any} data */
  finish(data) {
    this.phase = "done";
    this.result = data;
    this.numSolved = data.valid_trajectories;
    this.solutions = data.solutions.map((/** @type {any} */ solution) => ({
      ...solution,
      key: this.family.keyOf(solution.answer),
    }));
    this.note();
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

  /** Record a point of the chart. */
  note() {
    const point = { step: this.step, solved: this.numSolved, distinct: this.solutions.length };
    const last = this.points[this.points.length - 1];
    if (last.step === point.step) this.points[this.points.length - 1] = point;
    else this.points.push(point);
  }

  /**
   * Points of the chart: every step if all trajectories are shown, else as reported.
   * @returns {{step: number, solved: number, distinct: number}[]}
   */
  get course() {
    if (this.trajectories.size < this.width) return this.points;
    const solved = [...this.trajectories.values()].filter(({ state }) => state === "solved");
    const firsts = this.solutions.flatMap(({ first }) => (first ? [first.step] : []));
    const until = (/** @type {number[]} */ steps, /** @type {number} */ step) =>
      steps.filter((other) => other <= step).length;
    return Array.from({ length: this.step + 1 }, (_, step) => ({
      step,
      solved: until(solved.map((trajectory) => trajectory.step), step),
      distinct: until(firsts, step),
    }));
  }

  get isLive() {
    return this.phase === "waiting" || this.phase === "running";
  }

  /** How many trajectories are known to have ended without a solution. */
  get numFailed() {
    if (this.phase === "done") return this.width - this.numSolved;
    const shown = [...this.trajectories.values()];
    return shown.filter(({ state }) => state === "halted" || state === "exhausted").length;
  }
}
