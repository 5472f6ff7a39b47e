/** What the server or the page refuses: said once, where it is seen, until the puzzle changes. */

import { byId } from "./element.js";

export class Problems {
  constructor() {
    /** The cells that the server refused. @type {import("./rules.js").Clash[]} */
    this.refused = [];
    /** Whether it is that the server could not be reached. */
    this.isUnreachable = false;
  }

  /** @param {string} text */
  show(text) {
    [this.refused, this.isUnreachable] = [[], false];
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  }

  /**
   * Show a problem of the server, in the words of the puzzle's family.
   * @param {import("./server.js").Problem} problem
   * @param {import("./link.js").Setup} setup
   */
  refuse({ document, message, status }, { family, instance }) {
    const errors = document.errors ?? [];
    const says = errors.map((/** @type {any} */ issue) =>
      issue.cells?.length && issue.rule ? family.explain(issue, instance) : issue.detail,
    );
    const details = [...new Set(says.length ? says : [message])].join("; ");
    this.show(`${document.title ?? "The request failed"}: ${details}.`);
    this.refused = errors.filter((/** @type {any} */ issue) => issue.cells?.length);
    this.isUnreachable = status === 0;
  }
}
