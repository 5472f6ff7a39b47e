/** A run as it was at each of its moments, from its events. Knows nothing of the page. */

import { Run } from "./run.js";

export class Replay {
  /**
   * Stand at the end of a run.
   * @param {Run} ended  as it ended: stopped or broken off, too
   * @param {import("./run.js").Event[]} events
   */
  constructor(ended, events = ended.events) {
    this.ended = ended;
    this.events = events;
    this.run = ended;
    /** Numbers of the events at whose end there is something new to see. @type {number[]} */
    this.frames = [...events.keys()].filter((at) => ["progress", "done"].includes(events[at].kind));
    this.at = this.last;
  }

  /** The number of the last moment. */
  get last() {
    return this.frames.length - 1;
  }

  /** Return the run as it was at a moment. @param {number} at */
  to(at) {
    const wanted = Math.min(Math.max(at, 0), this.last);
    if (wanted <= this.at) {
      this.run = new Run(this.run.family, this.run.instance, this.run.width);
    }
    const { run } = this;
    const until = this.frames[wanted] + 1;
    this.events.slice(run.events.length, until).forEach((event) => run.take(event));
    this.at = wanted;
    return wanted === this.last && this.ended.events.length > 0 ? this.ended : run;
  }
}
