/** The puzzles that were on the board before: undo and redo. */

import { byId } from "./element.js";

const MAX_KEPT = 500;

/** @typedef {{family: import("./families.js").Family<any>, instance: any}} Puzzle */

export class Past {
  /**
   * @param {() => Puzzle} now
   * @param {(puzzle: Puzzle) => void} onShow
   */
  constructor(now, onShow) {
    this.now = now;
    this.onShow = onShow;
    /** @type {Puzzle[]} */
    this.before = [];
    /** @type {Puzzle[]} */
    this.after = [];
    byId("undo").addEventListener("click", () => this.go(this.before, this.after));
    addEventListener("keydown", (event) => {
      const isTyping = /** @type {Element} */ (event.target).matches?.("input, textarea, select");
      if (!(event.ctrlKey || event.metaKey) || event.altKey || isTyping) return;
      const key = event.key.toLowerCase();
      if (key === "y" || (key === "z" && event.shiftKey)) this.go(this.after, this.before);
      else if (key === "z") this.go(this.before, this.after);
      else return;
      event.preventDefault();
    });
  }

  /** Keep the puzzle as it is, before it changes. */
  keep() {
    const { family, instance } = this.now();
    this.before = [...this.before.slice(1 - MAX_KEPT), { family, instance }];
    this.after = [];
    this.show();
  }

  /**
   * @param {Puzzle[]} from
   * @param {Puzzle[]} to
   */
  go(from, to) {
    const puzzle = from.pop();
    if (!puzzle) return;
    const { family, instance } = this.now();
    to.push({ family, instance });
    this.onShow(puzzle);
    this.show();
  }

  show() {
    // Not disabled: focus would be lost with the last step.
    byId("undo").setAttribute("aria-disabled", String(!this.before.length));
  }
}
