/**
 * Connects the parts of the page: puzzle, options, run and results. Holds all state; every change
 * goes through `update`.
 */

import { showChart } from "./chart.js";
import { connectTheme } from "./colors.js";
import { Controls } from "./controls.js";
import { byId } from "./element.js";
import { FAMILIES } from "./families.js";
import { DEFAULT_OPTIONS, fromFragment, parametersOf, toFragment } from "./link.js";
import { PuzzleRoom } from "./puzzle.js";
import { nameRule } from "./rules.js";
import { Run } from "./run.js";
import { Problem, apiKey, ask, solveEvents } from "./server.js";
import { connectCopy, curlOf, pythonOf, showSnippets } from "./snippets.js";
import { Solutions } from "./solutions.js";
import { startStrip } from "./strip.js";
import { MAX_SHOWN, Trajectories } from "./trajectories.js";
import { words } from "./words.js";

const RETRY_MODELS_MS = 3000;
const MAX_RULES = 6;

class App {
  constructor() {
    /** @type {import("./link.js").Setup} */
    this.setup = fromFragment(location.hash) ?? {
      family: FAMILIES[0],
      instance: FAMILIES[0].parse(FAMILIES[0].examples[0][1]),
      options: DEFAULT_OPTIONS,
    };
    this.run = this.newRun();
    this.isIdle = true;
    /** @type {{trajectory: number} | {solution: string} | null} */
    this.chosen = null;
    /** @type {import("./rules.js").Clash[]} */
    this.refused = [];
    /** @type {AbortController | null} */
    this.aborter = null;
    /** The options of the last run. */
    this.ran = this.setup.options;
    this.isDrawing = false;
    this.fragment = "";
    this.puzzle = new PuzzleRoom((family, instance) => this.change({ family, instance }));
    this.controls = new Controls({
      onOptions: (options) => this.changeOptions(options),
      onSolve: () => (this.run.isLive && !this.isIdle ? this.stop() : this.solve()),
      onKey: () => this.useKey(),
    });
    this.trajectories = new Trajectories((trajectory) => this.choose({ trajectory }));
    this.solutions = new Solutions((solution) => this.choose({ solution }));
    this.listen();
    this.controls.show(this.setup.options);
    this.draw();
    this.learnModels();
    startStrip();
  }

  newRun() {
    const { family, instance, options } = this.setup;
    return new Run(family, instance, options.width);
  }

  /**
   * Change the puzzle or options, and drop the run.
   * @param {Partial<import("./link.js").Setup>} part
   */
  change(part) {
    this.aborter?.abort();
    this.setup = { ...this.setup, ...part };
    this.run = this.newRun();
    [this.isIdle, this.chosen, this.refused] = [true, null, []];
    this.say("");
    this.showProblem("");
    this.update();
  }

  /** @param {import("./link.js").Options} options */
  changeOptions(options) {
    this.setup = { ...this.setup, options };
    if (this.isIdle) this.run = this.newRun();
    this.update();
  }

  async solve() {
    this.change({});
    const aborter = new AbortController();
    [this.aborter, this.isIdle] = [aborter, false];
    const run = this.run;
    const { family, instance, options } = this.setup;
    this.ran = options;
    const query = new URLSearchParams(parametersOf(options));
    query.set("show_trajectories", String(Math.min(options.width, MAX_SHOWN)));
    this.say(`Solving with ${options.width} trajectories`);
    showResults();
    this.update();
    try {
      for await (const { kind, data } of solveEvents(
        `solve?${query}`,
        family.body(instance),
        aborter.signal,
      )) {
        if (kind === "error") throw new Problem(data.status ?? 500, data);
        this.take(run, kind, data);
      }
      if (run.isLive) throw new Problem(0, { detail: "the connection broke" });
    } catch (error) {
      this.fail(run, error);
    }
    this.update();
  }

  /**
   * @param {Run} run
   * @param {string} kind
   * @param {any} data
   */
  take(run, kind, data) {
    if (run !== this.run) return;
    const isFirst = !run.solutions.length;
    run.take(kind, data);
    if (isFirst && run.solutions.length) this.say(`First solution at step ${run.step}`);
    if (kind === "done") {
      this.say(words(run, false).headline);
      this.controls.askForKey(null);
    }
    this.update();
  }

  /**
   * @param {Run} run
   * @param {unknown} error
   */
  fail(run, error) {
    if (run !== this.run) return;
    if (!(error instanceof Problem)) {
      if (/** @type {Error} */ (error).name !== "AbortError") {
        error = new Problem(0, { detail: "the connection broke" });
      } else {
        run.phase = "stopped";
        return;
      }
    }
    run.phase = "failed";
    this.refuse(/** @type {Problem} */ (error));
  }

  /** @param {Problem} problem */
  refuse(problem) {
    const errors = problem.document.errors ?? [];
    this.refused = errors.filter((/** @type {any} */ issue) => issue.cells?.length);
    const { family, instance } = this.setup;
    const says = errors.map((/** @type {any} */ issue) =>
      issue.cells?.length && issue.rule ? family.explain(issue, instance) : issue.detail,
    );
    const title = problem.document.title ?? "The request failed";
    const details = [...new Set(says.length ? says : [problem.message])].join("; ");
    this.showProblem(`${title}: ${details}.`);
    if (problem.status === 401 || problem.status === 403) this.controls.askForKey(problem.message);
  }

  stop() {
    this.run.phase = "stopped";
    this.aborter?.abort();
    this.say("Stopped");
    this.update();
  }

  /** @param {{trajectory: number} | {solution: string}} what */
  choose(what) {
    const isSame = JSON.stringify(what) === JSON.stringify(this.chosen);
    this.chosen = isSame ? null : what;
    this.update();
  }

  useKey() {
    this.controls.askForKey(null);
    this.learnModels();
    this.update();
  }

  async learnModels() {
    try {
      const { models } = await (await ask("models")).json();
      const solving = models.filter((/** @type {any} */ model) => model.purpose !== "generate");
      if (solving.length) this.puzzle.serve(solving.map((/** @type {any} */ model) => model.task));
      else setTimeout(() => this.learnModels(), RETRY_MODELS_MS);
    } catch (error) {
      const status = error instanceof Problem ? error.status : 0;
      if (status === 401 || status === 403) {
        this.controls.askForKey(apiKey() ? /** @type {Error} */ (error).message : "");
      } else {
        setTimeout(() => this.learnModels(), RETRY_MODELS_MS);
      }
    }
    this.update();
  }

  /** The setup that repeats the run, with its seed once that is known. */
  shownSetup() {
    const { options } = this.setup;
    const isRun = !this.isIdle && options === this.ran;
    const seed = options.seed ?? (isRun ? this.run.seed : null);
    return { ...this.setup, options: { ...options, seed } };
  }

  /** Draw once, at the next frame. */
  update() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.draw();
    });
  }

  draw() {
    const { family, instance } = this.setup;
    const { run, isIdle } = this;
    const shown = this.shown();
    const clashes = this.refused.length ? this.refused : family.clashes(instance);
    const wrongs = shown.answer === null ? [] : family.wrongs(shown.answer, instance);
    this.puzzle.show(family, instance, {
      answer: shown.answer,
      clashes: [...clashes, ...wrongs],
      reasons: [...clashes.map((clash) => family.explain(clash, instance)), ...shown.reasons],
    });
    byId("shown").textContent = shown.name;
    this.controls.showLive(run.isLive && !isIdle);
    this.trajectories.show(run, isIdle, shown.trajectory);
    this.solutions.show(run, shown.solution);
    showChart(run);
    const { headline, detail } = words(run, isIdle);
    byId("headline").textContent = headline;
    byId("detail").textContent = detail;
    byId("results").dataset.phase = isIdle ? "idle" : run.phase;
    this.drawShares();
    const setup = this.shownSetup();
    showSnippets(setup);
    this.showAddress(toFragment(setup));
  }

  /** @param {string} fragment */
  showAddress(fragment) {
    // Browsers limit how often an address changes.
    if (fragment === this.fragment) return;
    this.fragment = fragment;
    history.replaceState(null, "", `#${fragment}`);
  }

  drawShares() {
    const { run } = this;
    const share = (/** @type {number} */ count) => String(count / run.width);
    byId("bar-solved").style.setProperty("--share", share(run.numSolved));
    byId("bar-failed").style.setProperty("--share", share(this.isIdle ? 0 : run.numFailed));
  }

  /** What the large board shows: the chosen answer, else the best one. */
  shown() {
    const { run, chosen } = this;
    const nothing = { answer: null, reasons: [], name: "", trajectory: null, solution: null };
    if (this.isIdle) return nothing;
    if (chosen && "trajectory" in chosen) {
      const { answer = null } = run.trajectories.get(chosen.trajectory) ?? {};
      return { ...nothing, ...chosen, answer, name: `Trajectory ${chosen.trajectory}` };
    }
    const key = chosen && "solution" in chosen ? chosen.solution : run.solutions[0]?.key;
    const index = run.solutions.findIndex((solution) => solution.key === key);
    if (index >= 0) {
      const { answer } = run.solutions[index];
      return { ...nothing, answer, solution: key, name: `Solution ${index + 1}` };
    }
    const attempt = run.result?.best_attempt;
    if (attempt) {
      const broken = attempt.violations.map((/** @type {any} */ { rule }) => nameRule(rule));
      const rules = [...new Set(broken)];
      const reasons = [`it breaks ${rules.slice(0, MAX_RULES).join(", ")}`];
      if (rules.length > MAX_RULES) reasons.push(`and ${rules.length - MAX_RULES} more rules`);
      return { ...nothing, answer: attempt.answer, reasons, name: "Nearest, not a solution" };
    }
    const { answer = null } = run.trajectories.get(0) ?? {};
    return answer === null ? nothing : { ...nothing, answer, trajectory: 0, name: "Trajectory 0" };
  }

  listen() {
    connectTheme(byId("theme"), () => {
      this.trajectories.recolor();
      this.solutions.recolor();
      this.update();
    });
    addEventListener("hashchange", () => {
      const setup = fromFragment(location.hash);
      if (!setup) return;
      this.controls.show(setup.options);
      this.change(setup);
    });
    addEventListener("resize", () => {
      this.trajectories.recolor();
      this.update();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.solve();
      } else if (event.key === "Escape" && this.run.isLive && !this.isIdle) this.stop();
    });
    const say = (/** @type {string} */ text) => this.say(text);
    connectCopy(byId("copy-curl"), () => curlOf(this.shownSetup()), say);
    connectCopy(byId("copy-python"), () => pythonOf(this.shownSetup()), say);
    connectCopy(byId("copy-link"), () => location.href, say);
  }

  /** Announce to screen readers. @param {string} text */
  say(text) {
    byId("live").textContent = text;
  }

  /** @param {string} text */
  showProblem(text) {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  }
}

/** Scroll to the results if they are below the puzzle, as on a phone. */
function showResults() {
  const results = byId("results");
  if (results.getBoundingClientRect().top < innerHeight / 2) return;
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  results.scrollIntoView({ behavior: isStill ? "auto" : "smooth" });
}

new App();
