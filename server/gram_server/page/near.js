/** The chosen answer, drawn where its tile is, while the large board is off the screen. */

import { paintBoard } from "./board_canvas.js";
import { currentColors } from "./colors.js";
import { byId } from "./element.js";

const SIDE = 260;

export class Near {
  /** @param {(isClosed: boolean) => void} onChange  called when it closes, and for the large board */
  constructor(onChange) {
    this.isBoardSeen = true;
    new IntersectionObserver((entries) => {
      // A busy browser tells of several changes at once, the newest last.
      this.isBoardSeen = entries[entries.length - 1].intersectionRatio > 0.5;
      onChange(false);
    }, { threshold: [0, 0.5, 0.6, 1] }).observe(byId("board"));
    byId("near-close").addEventListener("click", () => onChange(true));
  }

  /**
   * @param {import("./run.js").Run} run
   * @param {import("./shown.js").Shown} shown
   * @param {boolean} isChosen
   */
  show(run, shown, isChosen) {
    byId("near").hidden = this.isBoardSeen || !isChosen;
    if (byId("near").hidden) return;
    byId("near-name").textContent = shown.name;
    paintBoard(byId("near-board"), SIDE, currentColors(), run, shown.answer);
  }
}
