/** How many solutions a puzzle has in all: asked of exact search, and said in words. */

import { byId } from "./element.js";
import { ask } from "./server.js";
import { count } from "./words.js";

/** @param {() => {setup: import("./link.js").Setup, run: import("./run.js").Run}} now */
export function connectCount(now) {
  byId("count").addEventListener("click", async () => {
    const { setup, run } = now();
    byId("total").textContent = "Counting …";
    const total = await countAll(setup, run);
    if (setup.instance === now().setup.instance) byId("total").textContent = total;
  });
}

/**
 * @param {import("./link.js").Setup} setup
 * @param {import("./run.js").Run} run
 */
async function countAll({ family, instance }, run) {
  const query = new URLSearchParams({ width: "1", depth: "1", count_solutions: "exact" });
  const body = JSON.stringify(family.body(instance));
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await ask(`solve?${query}`, { method: "POST", headers, body });
    const { total, at_least: atLeast } = (await answer.json()).completeness;
    if (total === null) return `There are at least ${atLeast.toLocaleString("en")}; the search did not end.`;
    const { length } = run.solutions;
    const found = length ? `; ${length === total ? "all" : length.toLocaleString("en")} found here` : "";
    return `${count(total, "solution", "solutions")} in all, by exact search${found}.`;
  } catch (error) {
    return `Not counted: ${/** @type {Error} */ (error).message}.`;
  }
}
