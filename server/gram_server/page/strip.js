/** Whether the server is ready, for visitors; its queue and latency, in a corner for operators. */

import { byId } from "./element.js";
import { Problem, ask } from "./server.js";

const EVERY_MS = 4000;
const SAMPLE = /^(gram_[a-z_]+)(?:\{(.*)\})? (\S+)$/;

/** @typedef {{name: string, labels: string, value: number}} Sample */

/**
 * Look at the server while the page is visible.
 * @param {(isNews: boolean) => void} onReady  called whenever it is ready
 */
export function startStrip(onReady) {
  const look = async () => {
    if (document.visibilityState === "visible") {
      const was = byId("strip").dataset.state;
      if (await isReady()) onReady(was !== "ready");
      if (byId("operators").open) await showNumbers();
    }
    setTimeout(look, EVERY_MS);
  };
  byId("operators").addEventListener("toggle", () => byId("operators").open && showNumbers());
  look();
}

/** Show whether the server is ready. */
async function isReady() {
  try {
    await ask("readyz");
    say("ready", "ready");
    return true;
  } catch (error) {
    const isThere = error instanceof Problem && error.status > 0;
    say("down", isThere ? "not ready" : "not reachable");
    return false;
  }
}

async function showNumbers() {
  try {
    show(readSamples(await (await ask("metrics")).text()));
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    const wantsKey = status === 401 || status === 403;
    byId("numbers").textContent = wantsKey ? "Metrics need an admin key." : "There are no metrics.";
  }
}

/** @param {string} text */
export function readSamples(text) {
  return text.split("\n").flatMap((line) => {
    const match = SAMPLE.exec(line);
    return match ? [{ name: match[1], labels: match[2] ?? "", value: Number(match[3]) }] : [];
  });
}

/** @param {Sample[]} samples */
function show(samples) {
  const sum = (/** @type {string} */ name) =>
    samples.filter((sample) => sample.name === name).reduce((all, { value }) => all + value, 0);
  const buckets = samples.filter(({ name }) => name === "gram_request_duration_seconds_bucket");
  byId("numbers").textContent = [
    `${sum("gram_queue_jobs")} waiting`,
    `${sum("gram_running_jobs")} running`,
    `p50 ${duration(quantile(buckets, 0.5))}`,
    `p95 ${duration(quantile(buckets, 0.95))}`,
  ].join(" · ");
}

/**
 * @param {string} state
 * @param {string} words
 */
function say(state, words) {
  byId("strip").dataset.state = state;
  byId("strip-state").textContent = words;
}

/**
 * Return a quantile of a histogram over all labels, interpolated linearly in its bucket.
 * @param {Sample[]} buckets
 * @param {number} share
 */
export function quantile(buckets, share) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const { labels, value } of buckets) {
    const bound = /le="([^"]+)"/.exec(labels)?.[1] ?? "+Inf";
    const limit = bound === "+Inf" ? Infinity : Number(bound);
    counts.set(limit, (counts.get(limit) ?? 0) + value);
  }
  const sorted = [...counts].sort(([one], [other]) => one - other);
  const wanted = share * (sorted[sorted.length - 1]?.[1] ?? 0);
  if (!wanted) return null;
  let [low, below] = [0, 0];
  for (const [limit, count] of sorted) {
    if (count >= wanted) {
      return limit === Infinity ? low : low + ((limit - low) * (wanted - below)) / (count - below);
    }
    [low, below] = [limit, count];
  }
  return low;
}

/** @param {number | null} seconds */
function duration(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
