/**
 * The editor of graphs: vertices can be added, moved, joined, coloured and removed by pointer,
 * touch or keys. Every vertex is a button.
 */

import { agreement } from "./consensus.js";
import { draw, make } from "./element.js";
import { makePad } from "./pad.js";
import { cellsOf } from "./rules.js";

const MAX_VERTICES = 64;
const RADIUS = 5.4;
/** Largest movement of a click. */
const SLIP = 2;

/** @typedef {import("./graph.js").Graph} Graph */

export class GraphBoard {
  /**
   * @param {HTMLElement} host
   * @param {Graph} instance
   * @param {import("./families.js").Listeners} listeners
   */
  constructor(host, instance, { onChange, onRefuse, maxSize }) {
    this.graph = instance;
    this.onRefuse = onRefuse;
    this.maxSize = maxSize;
    this.onChange = (/** @type {Graph} */ next) => {
      this.graph = next;
      onChange(next);
    };
    /** @type {number | null} */
    this.chosen = null;
    /** @type {import("./families.js").View} */
    this.view = { answer: null, shares: null, clashes: [] };
    this.element = draw("svg", {
      class: "board graph-board",
      viewBox: "0 0 100 100",
      role: "group",
      "aria-label": "Graph",
      onpointerdown: (/** @type {PointerEvent} */ event) => this.onGround(event),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.onKeyDown(event),
    });
    const keys = Array.from({ length: instance.colors }, (_, color) => ({
      text: String(color + 1),
      label: `Fix colour ${color + 1}`,
      className: `hue-${color % 8}`,
      act: () => this.fix(color),
    }));
    const pad = makePad([
      ...keys,
      { text: "free", label: "Free the colour", act: () => this.fix(null) },
      { text: "+", label: "Add a vertex", act: () => this.add(this.freePlace()) },
      { text: "⌫", label: "Remove the vertex", act: () => this.remove() },
    ]);
    host.replaceChildren(make("div", { class: "frame" }), pad);
    host.firstElementChild?.append(this.element);
  }

  /**
   * @param {Graph} next
   * @param {import("./families.js").View} view
   */
  show(next, view) {
    this.graph = next;
    this.view = view;
    if (this.chosen !== null && this.chosen >= next.vertices) this.chosen = null;
    const focused = document.activeElement?.getAttribute("data-vertex") ?? null;
    this.element.replaceChildren(...this.drawEdges(), ...this.drawVertices());
    if (focused !== null) this.focus(Number(focused));
  }

  drawEdges() {
    const { edges, places } = this.graph;
    const clashing = new Set(this.view.clashes.map(({ rule }) => rule));
    return edges.map(([one, other]) => {
      const [[x1, y1], [x2, y2]] = [places[one], places[other]];
      const isWrong = clashing.has(`edge ${one}-${other}`);
      return draw("line", { x1, y1, x2, y2, class: isWrong ? "edge clash" : "edge" });
    });
  }

  drawVertices() {
    const clashing = cellsOf(this.view.clashes);
    return this.graph.places.map((place, vertex) =>
      this.drawVertex(vertex, place, clashing.has(String(vertex))),
    );
  }

  /**
   * @param {number} vertex
   * @param {number[]} place
   * @param {boolean} isWrong
   */
  drawVertex(vertex, [x, y], isWrong) {
    const fixed = this.graph.fixed[vertex];
    const answer = Array.isArray(this.view.answer) ? this.view.answer[vertex] : null;
    const color = fixed ?? answer ?? null;
    const joined = this.graph.edges.filter((edge) => edge.includes(vertex));
    const others = joined.map(([one, other]) => (one === vertex ? other : one));
    const says = [
      `vertex ${vertex}`,
      color === null ? "no colour" : `colour ${color + 1}${fixed === undefined ? "" : " fixed"}`,
      others.length ? `joined to ${others.join(", ")}` : "joined to none",
      ...(isWrong ? ["clashes"] : []),
    ];
    const hue = color === null ? "no-hue" : `hue-${color % 8}`;
    const agreed = fixed === undefined ? agreement(this.view, String(vertex)) : "";
    const kind = `vertex ${hue} ${fixed === undefined ? agreed : "fixed"} ${isWrong ? "clash" : ""}`;
    return draw(
      "g",
      {
        class: kind,
        role: "button",
        tabindex: 0,
        transform: `translate(${x} ${y})`,
        "data-vertex": vertex,
        "aria-pressed": this.chosen === vertex,
        "aria-label": says.join(", "),
        onpointerdown: (/** @type {PointerEvent} */ event) => this.onVertex(event, vertex),
      },
      draw("circle", { r: RADIUS + 2.2, class: "halo" }),
      draw("circle", { r: RADIUS, class: "disc" }),
      draw("text", { class: "name", "aria-hidden": "true" }, String(vertex)),
    );
  }

  /** @param {PointerEvent} event */
  onGround(event) {
    if (event.target === this.element && event.button === 0) this.add(this.placeOf(event));
  }

  /**
   * Move a vertex with the pointer; a press that does not move chooses or joins it.
   * @param {PointerEvent} event
   * @param {number} vertex
   */
  onVertex(event, vertex) {
    event.preventDefault();
    const [startX, startY] = this.placeOf(event);
    let isMoved = false;
    const onMove = (/** @type {PointerEvent} */ moved) => {
      const [x, y] = this.placeOf(moved);
      isMoved ||= Math.hypot(x - startX, y - startY) > SLIP;
      if (!isMoved) return;
      const places = this.graph.places.map((at, other) => (other === vertex ? [x, y] : at));
      this.show({ ...this.graph, places }, this.view);
    };
    const onUp = () => {
      document.removeEventListener("pointermove", onMove);
      document.removeEventListener("pointerup", onUp);
      if (isMoved) this.onChange(this.graph);
      else this.choose(vertex);
      this.focus(vertex);
    };
    document.addEventListener("pointermove", onMove);
    document.addEventListener("pointerup", onUp);
  }

  /** @param {KeyboardEvent} event */
  onKeyDown(event) {
    const vertex = Number(document.activeElement?.getAttribute("data-vertex") ?? Number.NaN);
    if (event.ctrlKey || event.metaKey || event.altKey || Number.isNaN(vertex)) return;
    const { vertices, colors } = this.graph;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step) this.focus((vertex + step + vertices) % vertices);
    else if (event.key === "Enter" || event.key === " ") this.choose(vertex);
    else if (event.key === "Escape" && this.chosen !== null) this.choose(this.chosen);
    else if (event.key === "Delete" || event.key === "Backspace") this.remove(vertex);
    else if (event.key === "0") this.fix(null, vertex);
    else if (Number(event.key) >= 1 && Number(event.key) <= colors) {
      this.fix(Number(event.key) - 1, vertex);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Choose a vertex; if another one is chosen, add or remove their edge.
   * @param {number} vertex
   */
  choose(vertex) {
    const one = this.chosen;
    if (one === null || one === vertex) {
      this.chosen = one === vertex ? null : vertex;
      this.show(this.graph, this.view);
      return;
    }
    this.chosen = null;
    const edge = [Math.min(one, vertex), Math.max(one, vertex)];
    const others = this.graph.edges.filter(([a, b]) => a !== edge[0] || b !== edge[1]);
    const isNew = others.length === this.graph.edges.length;
    const edges = isNew ? [...others, edge] : others;
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    this.onChange({ ...this.graph, edges });
  }

  /**
   * @param {number | null} color
   * @param {number | null} [vertex]
   */
  fix(color, vertex = this.target()) {
    if (vertex === null) return;
    const fixed = { ...this.graph.fixed };
    if (color === null) delete fixed[vertex];
    else fixed[vertex] = color;
    this.onChange({ ...this.graph, fixed });
  }

  /** @param {number[]} place */
  add(place) {
    const { vertices, places } = this.graph;
    const most = Math.min(this.maxSize(), MAX_VERTICES);
    if (vertices >= most) {
      this.onRefuse(`This server takes graphs of at most ${most} vertices.`);
      return;
    }
    this.chosen = null;
    this.onChange({ ...this.graph, vertices: vertices + 1, places: [...places, place] });
  }

  /** @param {number | null} [vertex] */
  remove(vertex = this.target()) {
    const { vertices, edges, fixed, places } = this.graph;
    if (vertex === null || vertices === 1) return;
    this.chosen = null;
    const renamed = (/** @type {number} */ old) => (old > vertex ? old - 1 : old);
    const kept = Object.entries(fixed).filter(([name]) => Number(name) !== vertex);
    this.onChange({
      ...this.graph,
      vertices: vertices - 1,
      edges: edges.filter((edge) => !edge.includes(vertex)).map((edge) => edge.map(renamed)),
      fixed: Object.fromEntries(kept.map(([name, color]) => [renamed(Number(name)), color])),
      places: places.filter((_, other) => other !== vertex),
    });
  }

  /** Return the vertex that the keys below act on. */
  target() {
    return this.chosen ?? this.graph.vertices - 1;
  }

  /** Return a place away from all vertices. */
  freePlace() {
    const distance = (/** @type {number[]} */ [x, y]) =>
      Math.min(...this.graph.places.map(([a, b]) => Math.hypot(a - x, b - y)));
    const spots = Array.from({ length: 81 }, (_, at) => [
      10 + 10 * (at % 9),
      10 + 10 * Math.floor(at / 9),
    ]);
    return spots.reduce((best, spot) => (distance(spot) > distance(best) ? spot : best));
  }

  /** @param {number} vertex */
  focus(vertex) {
    /** @type {SVGElement | null} */
    const element = this.element.querySelector(`[data-vertex="${vertex}"]`);
    element?.focus({ preventScroll: true });
  }

  /** @param {PointerEvent} event */
  placeOf(event) {
    const box = this.element.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 100;
    const y = ((event.clientY - box.top) / box.height) * 100;
    return [x, y].map((value) => Math.min(Math.max(value, 6), 94));
  }
}
