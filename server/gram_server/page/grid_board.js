/**
 * A board of cells: a grid to screen readers, one tab stop, arrow keys, pointer and touch. The
 * families handle keys and touches.
 */

import { make } from "./element.js";

const MOVES = /** @type {Record<string, [number, number]>} */ ({
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
});

/**
 * @typedef {{
 *   rows: number, columns: number, label: string, kind: string,
 *   onKey: (key: string, row: number, column: number) => boolean,
 *   onPoint?: (row: number, column: number, isFirst: boolean) => void,
 *   isPainted?: boolean,
 * }} GridOptions
 * @typedef {{text?: string, icon?: () => Element, className?: string, label: string}} CellView
 */

export class GridBoard {
  /**
   * @param {HTMLElement} host
   * @param {GridOptions} options
   */
  constructor(host, options) {
    this.options = options;
    this.row = 0;
    this.column = 0;
    /** @type {Map<HTMLElement, string>} */
    this.drawn = new Map();
    this.cells = Array.from({ length: options.rows }, (_, row) =>
      Array.from({ length: options.columns }, (_, column) => this.makeCell(row, column)),
    );
    this.element = make(
      "div",
      {
        role: "grid",
        class: `board grid-board ${options.kind}`,
        "aria-label": options.label,
        "aria-rowcount": options.rows,
        "aria-colcount": options.columns,
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.onKeyDown(event),
      },
      ...this.cells.map((row) => make("div", { role: "row" }, ...row)),
    );
    this.element.style.setProperty("--rows", String(options.rows));
    this.element.style.setProperty("--columns", String(options.columns));
    if (options.onPoint) this.listenToPointer();
    this.cells[0][0].tabIndex = 0;
    host.replaceChildren(this.element);
  }

  /** @param {(row: number, column: number) => CellView} viewOf */
  show(viewOf) {
    this.cells.forEach((cells, row) =>
      cells.forEach((cell, column) => {
        const view = viewOf(row, column);
        const drawn = `${view.text}|${Boolean(view.icon)}|${view.className}|${view.label}`;
        if (this.drawn.get(cell) === drawn) return;
        this.drawn.set(cell, drawn);
        const content = view.icon ? [view.icon()] : [view.text ?? ""];
        cell.replaceChildren(...content);
        cell.className = `cell ${view.className ?? ""}`;
        cell.setAttribute("aria-label", view.label);
      }),
    );
  }

  focus() {
    this.cells[this.row][this.column].focus({ preventScroll: true });
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  makeCell(row, column) {
    return make("div", {
      role: "gridcell",
      class: "cell",
      tabindex: -1,
      "data-at": `${row},${column}`,
      onfocus: () => this.moveTo(row, column),
    });
  }

  /**
   * Make a cell the one that Tab reaches and that the keys below act on, and mark it.
   * @param {number} row
   * @param {number} column
   */
  moveTo(row, column) {
    const last = this.cells[this.row][this.column];
    last.tabIndex = -1;
    last.removeAttribute("aria-selected");
    [this.row, this.column] = [row, column];
    this.cells[row][column].tabIndex = 0;
    this.cells[row][column].setAttribute("aria-selected", "true");
  }

  /** @param {KeyboardEvent} event */
  onKeyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) {
      const { rows, columns } = this.options;
      this.moveTo(
        Math.min(Math.max(this.row + move[0], 0), rows - 1),
        Math.min(Math.max(this.column + move[1], 0), columns - 1),
      );
      this.focus();
    } else if (event.key === "Home" || event.key === "End") {
      this.moveTo(this.row, event.key === "Home" ? 0 : this.options.columns - 1);
      this.focus();
    } else if (!this.options.onKey(event.key, this.row, this.column)) {
      return;
    }
    event.preventDefault();
  }

  listenToPointer() {
    /** @type {string | null} */
    let last = null;
    const point = (/** @type {PointerEvent} */ event, /** @type {boolean} */ isFirst) => {
      const under = document.elementFromPoint(event.clientX, event.clientY);
      const cell = under?.closest(".cell");
      const at = cell && this.element.contains(cell) ? cell.getAttribute("data-at") : null;
      if (!at || at === last) return;
      last = at;
      const [row, column] = at.split(",").map(Number);
      this.moveTo(row, column);
      this.options.onPoint?.(row, column, isFirst);
    };
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      last = null;
      point(event, true);
      this.focus();
      if (this.options.isPainted) event.preventDefault();
    });
    if (!this.options.isPainted) return;
    this.element.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) point(event, false);
    });
  }
}
