/** Plays a run again: play and pause, single steps, speed, and a slider. */

import { byId } from "./element.js";
import { Replay } from "./replay.js";

export class Player {
  /** @param {(run: import("./run.js").Run) => void} onRun  called with the run as it was at the moment that is shown */
  constructor(onRun) {
    this.onRun = onRun;
    /** Null where there is no run, or none that has ended. @type {Replay | null} */
    this.replay = null;
    this.isPlaying = false;
    this.lastMs = 0;
    byId("play").addEventListener("click", () => (this.isPlaying ? this.pause() : this.play()));
    byId("back").addEventListener("click", () => this.jump(this.at - 1));
    byId("forth").addEventListener("click", () => this.jump(this.at + 1));
    byId("at").addEventListener("input", () => this.jump(Number(byId("at").value)));
  }

  get at() {
    return this.replay?.at ?? 0;
  }

  get last() {
    return this.replay?.last ?? 0;
  }

  /**
   * Take a run that has ended, and stand at its end; null lets go of it.
   * @param {Replay | null} replay
   */
  load(replay) {
    this.replay = replay;
    this.pause();
  }

  play() {
    if (this.at >= this.last) this.seek(0);
    this.isPlaying = true;
    this.lastMs = performance.now();
    this.show();
    requestAnimationFrame((nowMs) => this.tick(nowMs));
  }

  pause() {
    this.isPlaying = false;
    this.show();
  }

  /** @param {number} at */
  jump(at) {
    this.pause();
    this.seek(at);
  }

  /** @param {number} nowMs */
  tick(nowMs) {
    if (!this.isPlaying) return;
    const everyMs = 1000 / Number(byId("speed").value);
    if (nowMs - this.lastMs >= everyMs) {
      // A late frame is not made up for: the next one would come too early.
      this.lastMs = Math.max(this.lastMs + everyMs, nowMs - everyMs);
      this.seek(this.at + 1);
      if (this.at === this.last) this.pause();
    }
    requestAnimationFrame((nextMs) => this.tick(nextMs));
  }

  /** Show the run at a moment. @param {number} at */
  seek(at) {
    if (!this.replay) return;
    const run = this.replay.to(at);
    this.show();
    this.onRun(run);
  }

  show() {
    byId("player").hidden = this.last < 1;
    byId("player").dataset.playing = String(this.isPlaying);
    byId("play").setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
    byId("play").textContent = this.isPlaying ? "❚❚" : "▶";
    byId("back").disabled = this.at <= 0;
    byId("forth").disabled = this.at >= this.last;
    byId("at").max = String(Math.max(this.last, 1));
    byId("at").value = String(this.at);
    byId("at").setAttribute("aria-valuetext", `${this.at + 1} of ${this.last + 1}`);
  }
}
