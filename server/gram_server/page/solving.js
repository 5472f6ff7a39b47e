/** Asks the server to solve, and asks again when it is busy or not ready, as soon as it says. */

import { Problem, solveEvents } from "./server.js";
import { parametersOf } from "./link.js";
import { MAX_SHOWN } from "./trajectories.js";
import { soon } from "./words.js";

/** Longest time to wait for a busy server without being asked again. */
const MAX_WAIT_S = 120;

/**
 * Yield the events of a run; throw the problem if there is one that waiting does not mend.
 * @param {import("./link.js").Setup} setup
 * @param {AbortSignal} signal
 * @param {(why: string) => void} onWait  called with the reason, and when it goes on
 */
export async function* solving({ family, instance, options }, signal, onWait) {
  const query = new URLSearchParams(parametersOf(options));
  query.set("show_trajectories", String(Math.min(options.width, MAX_SHOWN)));
  for (;;) {
    try {
      yield* eventsOf(solveEvents(`solve?${query}`, family.body(instance), signal));
      return;
    } catch (error) {
      const waitS = error instanceof Problem ? error.retryAfterS : null;
      if (waitS === null || waitS > MAX_WAIT_S) throw error;
      await wait(/** @type {Error} */ (error).message, waitS, signal, onWait);
    }
  }
}

/** @param {AsyncGenerator<import("./run.js").Event>} stream */
async function* eventsOf(stream) {
  let kind = "";
  for await (const event of stream) {
    kind = event.kind;
    if (kind === "error") throw new Problem(event.data.status ?? 500, event.data);
    yield event;
  }
  if (kind !== "done") throw new TypeError("the stream ended before the run");
}

/**
 * Count the seconds down; throw if it is stopped meanwhile.
 * @param {string} why
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @param {(why: string) => void} onWait
 */
async function wait(why, seconds, signal, onWait) {
  for (let left = seconds; left > 0; left -= 1) {
    onWait(`Trying again in ${soon(left)}: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 1) * 1000));
    signal.throwIfAborted();
  }
}
