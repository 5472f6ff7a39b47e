/** The status strip: readiness, queue and latency of the server. */

import { byId } from "./element.js";
import { Problem, ask } from "./server.js";

const EVERY_MS = 4000;
const SAMPLE = /^(gram_[a-z_]+)(?:\{(.*)\})? (\S+)$/;

/** @typedef {{name: string, labels: string, value: number}} Sample */

/** Poll the metrics while the page is visible. */
export function startStrip() {
  const look = async () => {
    if (document.visibilityState === "visible") await update();
    setTimeout(look, EVERY_MS);
  };
  look();
}

/** Text after the readiness, by the status that refused the metrics. */
const WITHOUT = /** @type {Record<number, string>} */ ({
  401: ", metrics need an admin key",
  403: ", metrics need an admin key",
  404: "",
});

async function update() {
  try {
    const text = await (await ask("metrics")).text();
    show(readSamples(text));
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    if (status in WITHOUT) await updateWithout(WITHOUT[status]);
    else say("down", "not reachable");
  }
}

/** @param {string} why */
async function updateWithout(why) {
  try {
    await ask("readyz");
    say("ready", `ready${why}`);
  } catch (error) {
    const isThere = error instanceof Problem && error.status > 0;
    say("down", isThere ? `not ready${why}` : "not reachable");
  }
  byId("strip-numbers").hidden = true;
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
  const isReady = sum("gram_ready") > 0;
  say(isReady ? "ready" : "down", isReady ? "ready" : "not ready");
  byId("strip-queue").textContent = `${sum("gram_queue_jobs")} waiting`;
  byId("strip-running").textContent = `${sum("gram_running_jobs")} running`;
  const buckets = samples.filter(({ name }) => name === "gram_request_duration_seconds_bucket");
  byId("strip-p50").textContent = `p50 ${duration(quantile(buckets, 0.5))}`;
  byId("strip-p95").textContent = `p95 ${duration(quantile(buckets, 0.95))}`;
  byId("strip-numbers").hidden = false;
}

/**
 * @param {string} state
 * @param {string} words
 */
function say(state, words) {
  byId("strip").dataset.state = state;
  byId("strip-state").textContent = words;
  if (state !== "ready") byId("strip-numbers").hidden = true;
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
