/** The puzzle editor: family, example, size, board, text and clashes. */

import { byId, make } from "./element.js";
import { FAMILIES, familyOf, sizesOf, taskOf } from "./families.js";

export class PuzzleRoom {
  /** @param {(family: import("./families.js").Family<any>, instance: any) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {string[] | null} */
    this.tasks = null;
    /** @type {import("./families.js").Family<any>} */
    this.family = FAMILIES[0];
    /** @type {any} */
    this.instance = null;
    /** @type {import("./families.js").Editor | null} */
    this.editor = null;
    this.built = "";
    this.offered = "";
    this.listen();
  }

  /**
   * @param {import("./families.js").Family<any>} family
   * @param {any} instance
   * @param {import("./families.js").View} view
   */
  show(family, instance, view) {
    const build = `${family.name} ${family.name === "graph-coloring" ? instance.colors : family.sizeOf(instance)}`;
    const isNew = build !== this.built;
    [this.family, this.instance] = [family, instance];
    if (isNew) {
      this.built = build;
      const onChange = (/** @type {any} */ next) => this.onChange(this.family, next);
      this.editor = family.edit(byId("board"), instance, { onChange });
      byId("hint").textContent = family.hint;
    }
    this.showChoices();
    this.editor?.show(instance, view);
    const text = byId("text");
    if (document.activeElement !== text) text.value = family.format(instance);
    this.showReasons(view);
  }

  /** @param {string[]} tasks */
  serve(tasks) {
    this.tasks = tasks;
  }

  /** Return the families that can be chosen. */
  families() {
    return FAMILIES.filter(
      (family) => sizesOf(family, this.tasks).length > 0 || family === this.family,
    );
  }

  showChoices() {
    const offered = `${taskOf(this.family, this.instance)} of ${this.tasks}`;
    if (offered === this.offered) return;
    this.offered = offered;
    this.showFamilies();
    this.showSizes();
    this.showExamples();
    const task = taskOf(this.family, this.instance);
    byId("unserved").hidden = this.tasks?.includes(task) ?? true;
    byId("unserved").textContent = `This server has no model for ${task}.`;
  }

  showFamilies() {
    const tabs = this.families().map((family) =>
      make(
        "button",
        {
          type: "button",
          class: "tab",
          "aria-pressed": family === this.family,
          "data-family": family.name,
        },
        family.title,
      ),
    );
    replaceIfChanged(byId("families"), tabs);
  }

  showSizes() {
    const sizes = sizesOf(this.family, this.tasks);
    const size = this.family.sizeOf(this.instance);
    const offered = sizes.includes(size) ? sizes : [...sizes, size];
    const unit = this.family.name === "graph-coloring" ? " vertices" : "";
    const options = offered.map((value) =>
      make("option", { value, selected: value === size }, sizeName(value) + unit),
    );
    replaceIfChanged(byId("size"), options);
    byId("size").value = size;
  }

  showExamples() {
    const served = sizesOf(this.family, this.tasks);
    const examples = this.family.examples
      .map(([title], index) => ({ title, index }))
      .filter(({ index }) => {
        const size = this.family.sizeOf(this.family.parse(this.family.examples[index][1]));
        return served.includes(size);
      });
    const options = examples.map(({ title, index }) => make("option", { value: index }, title));
    if (this.family.carve) options.push(make("option", { value: "carve" }, "Carve a new one"));
    const first = make("option", { value: "" }, "Examples …");
    replaceIfChanged(byId("example"), [first, ...options]);
  }

  /** @param {import("./families.js").View} view */
  showReasons({ reasons }) {
    const items = [...new Set(reasons)].slice(0, 6).map((words) => make("li", {}, words));
    replaceIfChanged(byId("clashes"), items);
  }

  listen() {
    byId("families").addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const name = /** @type {Element} */ (event.target).getAttribute("data-family");
      if (name && name !== this.family.name) this.choose(familyOf(name));
    });
    byId("example").addEventListener("change", () => {
      const value = byId("example").value;
      byId("example").value = "";
      if (value === "carve") this.carve();
      else if (value) this.take(this.family.examples[Number(value)][1]);
    });
    byId("size").addEventListener("change", () => {
      this.onChange(this.family, this.family.blank(byId("size").value));
    });
    byId("clear").addEventListener("click", () => {
      this.onChange(this.family, this.family.blank(this.family.sizeOf(this.instance)));
    });
    byId("text").addEventListener("input", () => this.take(byId("text").value));
    byId("board").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      event.preventDefault();
      this.take(event.clipboardData?.getData("text") ?? "");
    });
  }

  /** @param {import("./families.js").Family<any>} family */
  choose(family) {
    const sizes = sizesOf(family, this.tasks);
    const served = family.examples.map(([, text]) => family.parse(text));
    const first = served.find((instance) => sizes.includes(family.sizeOf(instance)));
    const made = first ?? (family.carve ?? family.blank)(sizes[0] ?? family.sizes[0]);
    this.onChange(family, made);
    byId("families").querySelector(`[data-family="${family.name}"]`)?.focus();
  }

  carve() {
    const size = this.family.sizeOf(this.instance);
    if (this.family.carve) this.onChange(this.family, this.family.carve(size));
  }

  /**
   * Parse a puzzle, or show why it is invalid.
   * @param {string} text
   */
  take(text) {
    const wrong = byId("text-wrong");
    try {
      const instance = this.family.parse(text);
      wrong.textContent = "";
      byId("text").removeAttribute("aria-invalid");
      this.onChange(this.family, instance);
    } catch (error) {
      wrong.textContent = `Not read: ${/** @type {Error} */ (error).message}.`;
      byId("text").setAttribute("aria-invalid", "true");
    }
  }
}

/** @param {string} size */
function sizeName(size) {
  return /^\d+$/.test(size) ? size : size.replace("x", " × ");
}

/**
 * Replace the children, unless their texts are the same: focus then stays.
 * @param {HTMLElement} host
 * @param {HTMLElement[]} children
 */
function replaceIfChanged(host, children) {
  const text = (/** @type {Iterable<Element>} */ elements) =>
    [...elements].map((element) => element.outerHTML).join();
  if (text(host.children) !== text(children)) host.replaceChildren(...children);
}
