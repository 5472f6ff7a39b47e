/**
 * Encodes puzzle and options in the fragment of a link, and decodes them.
 *
 * @typedef {{width: number, depth: number | null, seed: string | null, augment: boolean}} Options
 * @typedef {{family: import("./families.js").Family<any>, instance: any, options: Options}} Setup
 */

import { familyOf } from "./families.js";

export const MAX_WIDTH = 1024;
export const DEFAULT_OPTIONS = Object.freeze({ width: 32, depth: null, seed: null, augment: true });

/**
 * Return the fragment, without its #.
 * @param {Setup} setup
 */
export function toFragment({ family, instance, options }) {
  const fields = new URLSearchParams({ puzzle: family.name, is: family.toLink(instance) });
  for (const [name, value] of Object.entries(parametersOf(options))) fields.set(name, value);
  return fields.toString();
}

/**
 * Return the setup in a fragment; null if it is invalid.
 * @param {string} fragment
 * @returns {Setup | null}
 */
export function fromFragment(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const text = fields.get("is");
  if (text === null) return null;
  const family = familyOf(fields.get("puzzle"));
  try {
    return { family, instance: family.parse(text), options: readOptions(fields) };
  } catch {
    return null;
  }
}

/**
 * Return a link that shows the puzzle, and plays its run by itself.
 * @param {Setup} setup
 * @param {boolean} isPlayed
 */
export function linkTo(setup, isPlayed) {
  const link = new URL(location.href);
  link.hash = toFragment(setup) + (isPlayed ? "&play=1" : "");
  return link.href;
}

/**
 * Say whether a link plays by itself: the page then solves what it holds when it opens.
 * @param {string} fragment
 */
export function isPlayed(fragment) {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("play") === "1";
}

/**
 * Return the query parameters of the request, without the server's defaults.
 * @param {Options} options
 */
export function parametersOf({ width, depth, seed, augment }) {
  return {
    width: String(width),
    ...(depth === null ? {} : { depth: String(depth) }),
    ...(seed === null ? {} : { seed }),
    ...(augment ? {} : { augment: "false" }),
  };
}

/**
 * Return a whole number within bounds, or null.
 * @param {string | null} text
 * @param {number} max
 */
export function readCount(text, max) {
  return text && /^\d{1,6}$/.test(text.trim()) ? Math.min(Math.max(Number(text), 1), max) : null;
}

/**
 * Return a seed as text, which may exceed a number's precision, or null.
 * @param {string | null} text
 */
export function readSeed(text) {
  return text && /^\d{1,18}$/.test(text.trim()) ? text.trim() : null;
}

/** @param {URLSearchParams} fields */
function readOptions(fields) {
  return {
    width: readCount(fields.get("width"), MAX_WIDTH) ?? DEFAULT_OPTIONS.width,
    depth: readCount(fields.get("depth"), 4096),
    seed: readSeed(fields.get("seed")),
    augment: fields.get("augment") !== "false",
  };
}
