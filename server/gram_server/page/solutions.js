/** The distinct solutions with their votes, most votes first. Choosing one shows it large. */

import { paintBoard } from "./board_canvas.js";
import { currentColors } from "./colors.js";
import { byId, make } from "./element.js";
import { nameOf } from "./shown.js";
import { count } from "./words.js";

const MAX_SHOWN = 60;
const SIDE = 96;

export class Solutions {
  /** @param {(key: string) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    /** @type {HTMLElement} */
    this.list = byId("solutions");
    this.colors = currentColors();
    /** @type {Map<string, {row: HTMLElement, item: HTMLElement, votes: HTMLElement}>} */
    this.cards = new Map();
    this.owner = {};
  }

  /** Redraw in the colours of the theme. */
  recolor() {
    this.colors = currentColors();
    this.owner = {};
  }

  /**
   * @param {import("./run.js").Run} run
   * @param {string | null} chosen
   */
  show(run, chosen) {
    if (run !== this.owner) {
      this.owner = run;
      this.cards.clear();
      this.list.replaceChildren();
    }
    const shown = run.solutions.slice(0, MAX_SHOWN);
    const most = Math.max(...shown.map(({ votes }) => votes), 1);
    shown.forEach((solution, index) => this.showCard(run, solution, { index, most, chosen }));
    for (const [key, { row }] of this.cards) {
      if (!shown.some((solution) => solution.key === key)) {
        row.remove();
        this.cards.delete(key);
      }
    }
    const rest = run.solutions.length - shown.length;
    byId("solutions-rest").textContent = rest > 0 ? `and ${rest} more` : "";
  }

  /**
   * @param {import("./run.js").Run} run
   * @param {import("./run.js").Solution} solution
   * @param {{index: number, most: number, chosen: string | null}} place
   */
  showCard(run, solution, { index, most, chosen }) {
    const { key, answer, votes, source, first } = solution;
    const card = this.cards.get(key) ?? this.makeCard(run, key, answer);
    const counted = source === "exact" ? "exact search" : count(votes, "vote", "votes");
    card.votes.textContent = counted;
    card.item.style.setProperty("--share", String(votes / most));
    card.item.setAttribute("aria-pressed", String(chosen === key));
    const found = first ? `, first found by trajectory ${first.trajectory} at step ${first.step}` : "";
    const says = run.family.describe(answer, run.instance);
    const name = run.family.isUnverified ? nameOf(run, index) : `Solution ${index + 1}, ${counted}`;
    card.item.setAttribute("aria-label", `${name}${found}: ${says}`);
    if (this.list.children[index] !== card.row) {
      this.list.insertBefore(card.row, this.list.children[index] ?? null);
    }
  }

  /**
   * @param {import("./run.js").Run} run
   * @param {string} key
   * @param {unknown} answer
   */
  makeCard(run, key, answer) {
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { "aria-hidden": "true" }));
    paintBoard(canvas, SIDE, this.colors, run, answer);
    const votes = make("span", { class: "votes", "aria-hidden": "true" });
    const item = make(
      "button",
      { type: "button", class: `tile solution ${run.family.isUnverified ? "" : "solved"}`, onclick: () => this.onChoose(key) },
      canvas,
      votes,
    );
    const row = make("li", {}, item);
    const card = { row, item, votes };
    this.cards.set(key, card);
    return card;
  }
}
