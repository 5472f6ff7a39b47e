/**
 * Connects the parts of the page: puzzle, options, run and results. Holds all state; every change
 * goes through `update`.
 */

import { showChart } from "./chart.js";
import { connectTheme } from "./colors.js";
import { Controls } from "./controls.js";
import { connectCount } from "./counting.js";
import { byId, wantsNoMotion } from "./element.js";
import { FAMILIES, learnFamilies } from "./families.js";
import { DEFAULT_OPTIONS, fromFragment, isPlayed, toFragment } from "./link.js";
import { Near } from "./near.js";
import { Past } from "./past.js";
import { Player } from "./player.js";
import { Problems } from "./problems.js";
import { PuzzleRoom } from "./puzzle.js";
import { Race } from "./race.js";
import { loadRecording } from "./recording.js";
import { Replay } from "./replay.js";
import { Run } from "./run.js";
import { Problem, apiKey, ask } from "./server.js";
import { connectShare, showShare } from "./share.js";
import { NOTHING, shownOf } from "./shown.js";
import { connectSnippets, showSnippets } from "./snippets.js";
import { Solutions } from "./solutions.js";
import { solving } from "./solving.js";
import { startStrip } from "./strip.js";
import { Trajectories } from "./trajectories.js";
import { showSummary, words } from "./words.js";

/** Where a recorded run stands for those who want no motion, as a share of its steps. */
const FIRST_LOOK = 0.6;

class App {
  constructor() {
    const linked = fromFragment(location.hash);
    const isToPlay = linked !== null && isPlayed(location.hash);
    /** @type {import("./link.js").Setup} */
    this.setup = linked ?? {
      family: FAMILIES[0],
      instance: FAMILIES[0].parse(FAMILIES[0].examples[0][1]),
      options: DEFAULT_OPTIONS,
    };
    /** Whether the visitor has changed nothing yet, and no link said what to show. */
    this.isFresh = linked === null;
    this.run = this.newRun();
    this.isIdle = true;
    /** @type {import("./shown.js").Choice} */
    this.chosen = null;
    this.problems = new Problems();
    /** Stops the request of the run; null where none is being solved. @type {AbortController | null} */
    this.aborter = null;
    /** The options of the last run. */
    this.ran = this.setup.options;
    this.isDrawing = false;
    this.fragment = "";
    this.past = new Past(() => this.setup, (puzzle) => this.show(puzzle));
    this.puzzle = new PuzzleRoom({
      onChange: (family, instance) => this.change({ family, instance }),
      onRefuse: (why) => this.problems.show(why),
      onSay: (text) => this.say(text),
    });
    this.controls = new Controls({
      onOptions: (options) => this.changeOptions(options),
      onSolve: () => (this.aborter ? this.stop() : this.solve()),
      onKey: () => this.learnModels(),
    });
    this.trajectories = new Trajectories(this.run, (trajectory) => this.choose({ trajectory }));
    this.race = new Race();
    this.solutions = new Solutions((solution) => this.choose({ solution }));
    this.near = new Near((isClosed) => {
      if (isClosed) this.chosen = null;
      this.update();
    });
    this.player = new Player((run) => {
      [this.run, this.isIdle] = [run, false];
      this.update();
    });
    this.listen();
    this.controls.show(this.setup.options);
    this.draw();
    startStrip((isNews) => {
      this.mend();
      if (isNews) this.learnModels();
    });
    if (this.isFresh) this.open();
    else if (isToPlay) this.solve();
  }

  newRun() {
    const { family, instance, options } = this.setup;
    return new Run(family, instance, options.width);
  }

  /** Play the recorded run, unless the visitor or the server wants something else. */
  async open() {
    const recorded = await loadRecording().catch(() => null);
    if (!recorded || !this.isFresh) return;
    const { family, instance, events } = recorded;
    this.setup = { ...this.setup, family, instance };
    this.draw();
    if (!this.puzzle.isServed) return this.openServed();
    this.ran = this.setup.options;
    this.player.load(new Replay(this.newRun(), events));
    if (wantsNoMotion()) this.player.jump(Math.round(this.player.last * FIRST_LOOK));
    else this.player.play();
  }

  /** Open with a puzzle that the server has a model for. */
  openServed() {
    const served = this.puzzle.servedExample();
    if (!served) return;
    this.show(served);
    this.isFresh = true;
  }

  /**
   * Change the puzzle as the visitor wishes; it can be undone.
   * @param {{family: import("./families.js").Family<any>, instance: any}} puzzle
   */
  change(puzzle) {
    this.past.keep();
    this.show(puzzle);
  }

  /**
   * Show a puzzle, with other options too, and drop the run.
   * @param {Partial<import("./link.js").Setup>} part
   */
  show(part) {
    this.aborter?.abort();
    this.aborter = null;
    this.player.load(null);
    this.setup = { ...this.setup, ...part };
    this.run = this.newRun();
    [this.isIdle, this.chosen, this.isFresh] = [true, null, false];
    this.say("");
    this.problems.show("");
    byId("total").textContent = "";
    this.update();
  }

  /** @param {import("./link.js").Options} options */
  changeOptions(options) {
    this.setup = { ...this.setup, options };
    if (this.isIdle) this.run = this.newRun();
    this.update();
  }

  async solve() {
    if (!this.puzzle.isServed) {
      this.say(byId("unserved").textContent);
      return;
    }
    if (!byId("options").reportValidity()) return;
    this.show({});
    const aborter = new AbortController();
    const { run, setup } = this;
    [this.aborter, this.isIdle, this.ran] = [aborter, false, setup.options];
    this.say(`Solving with ${setup.options.width} trajectories`);
    showResults();
    this.update();
    const onWait = (/** @type {string} */ why) => {
      run.why = why;
      this.update();
    };
    try {
      for await (const event of solving(setup, aborter.signal, onWait)) this.take(run, event);
    } catch (error) {
      if (!aborter.signal.aborted) this.fail(run, error);
    }
    if (this.aborter === aborter) this.end();
  }

  /** Let go of a run that has ended: it can be played again. */
  end() {
    this.aborter = null;
    this.player.load(new Replay(this.run));
    this.update();
  }

  /**
   * @param {Run} run
   * @param {import("./run.js").Event} event
   */
  take(run, event) {
    if (run !== this.run) return;
    const isFirst = !run.solutions.length;
    run.take(event);
    if (isFirst && run.solutions.length) this.say(`First solution at step ${run.step}`);
    if (event.kind === "done") {
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
    [run.phase, run.why] = ["failed", ""];
    const problem = error instanceof Problem ? error : null;
    if (run.trajectories.size) {
      // The headline says why, and what was found before.
      run.why = problem?.document.title ?? "Connection lost";
      this.say(words(run, false).headline);
    } else if (problem?.status === 401 || problem?.status === 403) {
      this.controls.askForKey(problem.message);
    } else {
      const lost = new Problem(Number.NaN, { detail: "the connection broke" });
      this.problems.refuse(problem ?? lost, this.setup);
    }
  }

  /** The server is there again: take back that it was not. */
  mend() {
    if (this.problems.isUnreachable) this.show({});
  }

  stop() {
    this.run.phase = "stopped";
    this.aborter?.abort();
    this.say("Stopped");
    this.end();
  }

  /** @param {{trajectory: number} | {solution: string}} what */
  choose(what) {
    const isSame = JSON.stringify(what) === JSON.stringify(this.chosen);
    this.chosen = isSame ? null : what;
    this.update();
  }

  async learnModels() {
    this.controls.askForKey(null);
    try {
      const [{ models }, { puzzles }] = await Promise.all(
        ["models", "puzzles"].map(async (path) => (await ask(path)).json()),
      );
      learnFamilies(puzzles);
      // A link to one of them could not be read before.
      const linked = this.isFresh ? fromFragment(location.hash) : null;
      if (linked) this.show(linked);
      this.puzzle.serve(models);
      if (this.isFresh && !this.puzzle.isServed) this.openServed();
    } catch (error) {
      const status = error instanceof Problem ? error.status : 0;
      if (status === 401 || status === 403) {
        this.controls.askForKey(apiKey() ? /** @type {Error} */ (error).message : "");
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
    const shown = isIdle ? NOTHING : shownOf(run, this.chosen);
    // Where agreement is shown, a clash is only that of two majorities.
    const wrongs = shown.answer === null || shown.shares ? [] : family.wrongs(shown.answer, instance);
    const { refused } = this.problems;
    const clashes = refused.length ? refused : family.clashes(instance);
    // What the server refused is said by the problem.
    const reasons = refused.length ? [] : clashes.map((clash) => family.explain(clash, instance));
    const view = { answer: shown.answer, shares: shown.shares, clashes: [...clashes, ...wrongs] };
    this.puzzle.show(family, instance, view, [...reasons, ...shown.reasons]);
    byId("shown").textContent = shown.name;
    this.controls.showState(this.aborter !== null, this.puzzle.isServed);
    this.trajectories.show(run, isIdle, shown.trajectory);
    this.solutions.show(run, shown.solution);
    this.near.show(run, shown, this.chosen !== null);
    this.race.show(run, isIdle);
    showChart(run);
    showSummary(run, isIdle);
    showShare(this.player);
    byId("turn").hidden = !this.isFresh || !this.player.replay;
    byId("turn-new").hidden = !this.puzzle.canMake;
    const setup = this.shownSetup();
    showSnippets(setup);
    if (!this.isFresh) this.showAddress(toFragment(setup));
  }

  /** @param {string} fragment */
  showAddress(fragment) {
    // Browsers limit how often an address changes.
    if (fragment === this.fragment) return;
    this.fragment = fragment;
    history.replaceState(null, "", `#${fragment}`);
  }

  listen() {
    connectTheme(byId("theme"), () => this.recolor());
    addEventListener("resize", () => this.recolor());
    addEventListener("hashchange", () => {
      const setup = fromFragment(location.hash);
      if (!setup) return;
      const isPlaying = isPlayed(location.hash);
      this.controls.show(setup.options);
      this.show(setup);
      if (isPlaying) this.solve();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (!event.repeat) this.solve();
      } else if (event.key === "Escape" && this.aborter) this.stop();
    });
    byId("turn-solve").addEventListener("click", () => this.solve());
    byId("turn-new").addEventListener("click", () => this.puzzle.renew());
    connectCount(() => this);
    const say = (/** @type {string} */ text) => this.say(text);
    connectSnippets(() => this.shownSetup(), say);
    connectShare(() => this, say);
  }

  recolor() {
    for (const part of [this.trajectories, this.race, this.solutions]) part.recolor();
    this.update();
  }

  /** Announce to screen readers. @param {string} text */
  say(text) {
    byId("live").textContent = text;
  }
}

/** Scroll to the results if they are below the puzzle, as on a phone. */
function showResults() {
  const results = byId("results");
  if (results.getBoundingClientRect().top < innerHeight / 2) return;
  results.scrollIntoView({ behavior: wantsNoMotion() ? "auto" : "smooth" });
}

new App();
