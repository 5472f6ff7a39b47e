/** A run played again as a short video, made by the browser as it is painted. */

import { paintPicture, pictureCanvas } from "./picture.js";

// Browsers write one or the other.
const KINDS = ["video/webm", "video/mp4"];
const FRAME_MS = 100;
const MAX_MOMENTS = 72;
/** Frames that a short run has at least, as far as a moment lasts no longer than `MAX_HELD`. */
const MIN_FRAMES = 30;
const MAX_HELD = 5;
/** Frames for which the end stays. */
const NUM_REST = 15;
const BITS_PER_S = 5_000_000;
/** A browser may encode slower than frames are painted, and stopping drops what it still has. */
const DATA_EVERY_MS = 100;
const NOTHING_LEFT_MS = 1500;
const MAX_WAIT_MS = 60_000;

/** Return the media type of videos that this browser can make, null where it can make none. */
export function videoKind() {
  if (!("MediaRecorder" in window) || !("captureStream" in HTMLCanvasElement.prototype)) return null;
  return KINDS.find((kind) => MediaRecorder.isTypeSupported(kind)) ?? null;
}

/**
 * Return a video of a run, some seconds long; a long run is shown in fewer steps.
 * @param {import("./replay.js").Replay} replay
 * @param {string} kind
 * @param {(share: number) => void} onProgress
 */
export async function videoOf(replay, kind, onProgress) {
  const element = pictureCanvas();
  const canvas = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
  const frames = framesOf(replay.last);
  let run = replay.to(0);
  paintPicture(canvas, run);
  const stream = element.captureStream();
  const recorder = new MediaRecorder(stream, { mimeType: kind, videoBitsPerSecond: BITS_PER_S });
  /** @type {Blob[]} */
  const parts = [];
  let lastDataMs = 0;
  recorder.addEventListener("dataavailable", ({ data }) => {
    parts.push(data);
    lastDataMs = performance.now();
  });
  const stopped = endOf(recorder);
  recorder.start(DATA_EVERY_MS);
  const startMs = performance.now();
  for (const [index, moment] of frames.entries()) {
    if (moment !== replay.at) run = replay.to(moment);
    // A stream has a frame for what is painted, also where it is the same again.
    paintPicture(canvas, run);
    onProgress(index / frames.length);
    await until(startMs + (index + 1) * FRAME_MS);
  }
  const paintedMs = performance.now();
  while (performance.now() < Math.min(
    Math.max(lastDataMs, paintedMs) + NOTHING_LEFT_MS, paintedMs + MAX_WAIT_MS)
  ) {
    await until(performance.now() + DATA_EVERY_MS);
  }
  recorder.stop();
  await stopped;
  stream.getTracks().forEach((track) => track.stop());
  return new Blob(parts, { type: kind });
}

/**
 * Return which moment each frame shows: all of them, or as many as there is time for.
 * @param {number} last
 */
function framesOf(last) {
  const number = Math.min(last + 1, MAX_MOMENTS);
  const held = Math.min(Math.max(Math.floor(MIN_FRAMES / number), 1), MAX_HELD);
  const shown = Array.from({ length: number * held }, (_, frame) =>
    Math.round((Math.floor(frame / held) / Math.max(number - 1, 1)) * last),
  );
  return [...shown, ...new Array(NUM_REST).fill(last)];
}

/**
 * @param {MediaRecorder} recorder
 * @returns {Promise<void>}
 */
function endOf(recorder) {
  return new Promise((resolve, reject) => {
    recorder.addEventListener("stop", () => resolve());
    recorder.addEventListener("error", () => reject(new Error("the browser stopped recording")));
  });
}

/** @param {number} timeMs */
function until(timeMs) {
  return new Promise((resolve) => setTimeout(resolve, timeMs - performance.now()));
}
