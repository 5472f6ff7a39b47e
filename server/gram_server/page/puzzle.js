/** The puzzle editor: family, example, size, board, text and clashes. */

import { byId, make } from "./element.js";
import { FAMILIES, familyOf, isServed, readPasted, sizesOf, taskOf } from "./families.js";
import { ask } from "./server.js";

export class PuzzleRoom {
  /**
   * @param {{onChange: (family: import("./families.js").Family<any>, instance: any) => void,
   *   onRefuse: (why: string) => void, onSay: (words: string) => void}} listeners
   */
  constructor({ onChange, onRefuse, onSay }) {
    this.onChange = onChange;
    this.onRefuse = onRefuse;
    this.onSay = onSay;
    /** @type {string[] | null} */
    this.tasks = null;
    /** Tasks of the models that generate. @type {string[]} */
    this.generated = [];
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
   * @param {string[]} reasons
   */
  show(family, instance, view, reasons) {
    const build = `${family.name} ${family.name === "graph-coloring" ? instance.colors : family.sizeOf(instance)}`;
    [this.family, this.instance] = [family, instance];
    if (build !== this.built) {
      this.built = build;
      this.editor = family.edit(byId("board"), instance, {
        onChange: (next) => this.onChange(this.family, next),
        onRefuse: this.onRefuse,
        maxSize: () => this.maxSize(),
      });
      byId("hint").textContent = family.hint;
    }
    this.showChoices();
    this.editor?.show(instance, view);
    if (document.activeElement !== byId("text")) {
      byId("text").value = family.format(instance);
      this.showWrong("");
    }
    const items = [...new Set(reasons)].slice(0, 6).map((words) => make("li", {}, words));
    replaceIfChanged(byId("clashes"), items);
  }

  /** @param {{task: string, purpose: string}[]} models */
  serve(models) {
    const tasksOf = (/** @type {boolean} */ isGenerating) =>
      models.filter(({ purpose }) => (purpose === "generate") === isGenerating).map(({ task }) => task);
    [this.tasks, this.generated] = [tasksOf(false), tasksOf(true)];
    this.offered = "";
  }

  /** Whether the server has a model for the puzzle, as far as that is known. */
  get isServed() {
    return isServed(this.family, this.instance, this.tasks);
  }

  /** The most vertices that the server takes. */
  maxSize() {
    const missing = 3 - (this.instance.colors ?? 3);
    return this.tasks === null ? Infinity : Math.max(...sizesOf(this.family, this.tasks).map(Number)) - missing;
  }

  showChoices() {
    const offered = `${taskOf(this.family, this.instance)} of ${this.tasks}`;
    if (offered === this.offered) return;
    this.offered = offered;
    this.showFamilies();
    this.showSizes();
    this.showExamples();
    byId("unserved").hidden = this.isServed;
    byId("unserved").textContent =
      `This server has no model for ${taskOf(this.family, this.instance)}.`;
  }

  showFamilies() {
    const offered = FAMILIES.filter(
      (family) => sizesOf(family, this.tasks).length > 0 || family === this.family,
    );
    const tabs = offered.map((family) =>
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
    const examples = this.family.examples
      .map(([title, text], index) => ({ title, index, instance: this.family.parse(text) }))
      .filter(({ instance }) => isServed(this.family, instance, this.tasks));
    const options = examples.map(({ title, index }) => make("option", { value: index }, title));
    if (this.canMake) options.unshift(make("option", { value: "new" }, "A new one"));
    replaceIfChanged(byId("example"), [make("option", { value: "" }, "Examples"), ...options]);
  }

  /** Whether there is somebody to make up a puzzle of this size. */
  get canMake() {
    return Boolean(this.family.make) || this.generated.includes(taskOf(this.family, this.instance));
  }

  listen() {
    byId("families").addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const name = /** @type {Element} */ (event.target).getAttribute("data-family");
      if (name && name !== this.family.name) this.choose(familyOf(name));
    });
    byId("example").addEventListener("change", () => {
      const value = byId("example").value;
      byId("example").value = "";
      if (value === "new") this.renew();
      else if (value) this.onChange(this.family, this.family.parse(this.family.examples[Number(value)][1]));
    });
    byId("size").addEventListener("change", () => {
      this.onChange(this.family, this.family.blank(byId("size").value));
    });
    byId("clear").addEventListener("click", () => {
      this.onChange(this.family, this.family.blank(this.family.sizeOf(this.instance)));
    });
    byId("text").addEventListener("input", (/** @type {InputEvent} */ event) => {
      const isPasted = event.inputType === "insertFromPaste";
      this.take(byId("text").value, isPasted, (why) => this.showWrong(why));
    });
    byId("file").addEventListener("change", async () => {
      const text = await byId("file").files[0]?.text();
      byId("file").value = "";
      if (text) this.take(text, true, (why) => this.showWrong(why));
    });
    document.addEventListener("paste", (event) => {
      if (/** @type {Element} */ (event.target).closest?.("input, textarea, select")) return;
      event.preventDefault();
      this.take(event.clipboardData?.getData("text") ?? "", true, this.onRefuse);
    });
  }

  /** @param {import("./families.js").Family<any>} family */
  choose(family) {
    this.onChange(family, this.exampleOf(family));
    byId("families").querySelector(`[data-family="${family.name}"]`)?.focus();
  }

  /**
   * Return the first example of a size that is served, or a puzzle of such a size.
   * @param {import("./families.js").Family<any>} family
   */
  exampleOf(family) {
    const sizes = sizesOf(family, this.tasks);
    const instances = family.examples.map(([, text]) => family.parse(text));
    const first = instances.find((instance) => isServed(family, instance, this.tasks));
    return first ?? (family.make ?? family.blank)(sizes[0] ?? family.sizes[0]);
  }

  /** Return a puzzle that the server has a model for: of its first family that the page knows. */
  servedExample() {
    const family = FAMILIES.find((one) => sizesOf(one, this.tasks).length > 0);
    return family ? { family, instance: this.exampleOf(family) } : null;
  }

  /** Make up a puzzle here, or let the server generate one that has exactly one solution. */
  async renew() {
    const { family } = this;
    const size = family.sizeOf(this.instance);
    if (family.make) {
      this.onChange(family, family.make(size));
      return;
    }
    this.onSay("Making a puzzle …");
    const query = new URLSearchParams({
      puzzle: family.name,
      size: String(Number.parseInt(size, 10)),
      reduce_clues: "unique",
    });
    try {
      const { boards } = await (await ask(`generate?${query}`, { method: "POST" })).json();
      if (!boards.length) throw new Error("the model made no valid board this time");
      this.onChange(family, family.parse(boards[0].puzzle));
      this.onSay("A new puzzle with one solution");
    } catch (error) {
      this.onSay("");
      this.onRefuse(`No new puzzle: ${/** @type {Error} */ (error).message}.`);
    }
  }

  /**
   * Parse a puzzle, or say why it is not one.
   * @param {string} text
   * @param {boolean} isPasted
   * @param {(why: string) => void} refuse
   */
  take(text, isPasted, refuse) {
    try {
      const { family, instance } = isPasted
        ? readPasted(text, this.family)
        : { family: this.family, instance: this.family.parse(text) };
      this.showWrong("");
      this.onChange(family, instance);
    } catch (error) {
      refuse(`Not read: ${/** @type {Error} */ (error).message}.`);
    }
  }

  /** @param {string} why */
  showWrong(why) {
    byId("text-wrong").textContent = why;
    if (why) byId("text").setAttribute("aria-invalid", "true");
    else byId("text").removeAttribute("aria-invalid");
  }
}

/** @param {string} size */
function sizeName(size) {
  return /^\d+$/.test(size) ? size : size.replace("x", " × ");
}

/**
 * Replace the children, unless they are the same. Focus stays on the one with the same words.
 * @param {HTMLElement} host
 * @param {HTMLElement[]} children
 */
function replaceIfChanged(host, children) {
  const text = (/** @type {Iterable<Element>} */ elements) =>
    [...elements].map((element) => element.outerHTML).join();
  if (text(host.children) === text(children)) return;
  const held = [...host.children].find((child) => child === document.activeElement);
  host.replaceChildren(...children);
  if (held) children.find((child) => child.textContent === held.textContent)?.focus();
}
