/** The controls: width, depth, seed and augment, the button that solves or stops, the key. */

import { byId } from "./element.js";
import { MAX_WIDTH, readCount, readSeed } from "./link.js";
import { apiKey, keepApiKey } from "./server.js";

export class Controls {
  /**
   * @param {{onOptions: (options: import("./link.js").Options) => void, onSolve: () => void,
   *   onKey: () => void}} listeners
   */
  constructor({ onOptions, onSolve, onKey }) {
    byId("options").addEventListener("input", () => onOptions(this.read()));
    byId("options").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      onSolve();
    });
    // The second click of a double click, and a key held down, would stop what has just begun.
    byId("solve").addEventListener("click", (/** @type {MouseEvent} */ event) => {
      if (event.detail > 1) event.preventDefault();
    });
    byId("solve").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.repeat) event.preventDefault();
    });
    byId("key-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      keepApiKey(byId("key").value.trim());
      onKey();
    });
    byId("key").value = apiKey();
  }

  /** Return the options in the fields. @returns {import("./link.js").Options} */
  read() {
    return {
      width: readCount(byId("width").value, MAX_WIDTH) ?? 1,
      depth: readCount(byId("depth").value, 4096),
      seed: readSeed(byId("seed").value),
      augment: byId("augment").checked,
    };
  }

  /** @param {import("./link.js").Options} options */
  show({ width, depth, seed, augment }) {
    byId("width").value = String(width);
    byId("depth").value = depth === null ? "" : String(depth);
    byId("seed").value = seed ?? "";
    byId("augment").checked = augment;
  }

  /**
   * @param {boolean} isSolving
   * @param {boolean} isServed
   */
  showState(isSolving, isServed) {
    byId("solve").classList.toggle("stop", isSolving);
    byId("solve").setAttribute("aria-disabled", String(!isServed));
    byId("solve-words").textContent = isSolving ? "Stop" : "Solve";
    byId("solve-keys").textContent = isSolving ? "Esc" : "Ctrl ↵";
  }

  /**
   * Show the field for the API key; null hides it.
   * @param {string | null} why
   */
  askForKey(why) {
    byId("key-form").hidden = why === null;
    if (why === null) return;
    byId("key-why").textContent = why;
    byId("key").focus();
  }
}
