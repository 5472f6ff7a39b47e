/** A small board on a canvas of its own, as sharp as the screen. */

const MAX_DENSITY = 3;

/** How many pixels of a canvas stand for one of the page. */
export const density = () => Math.min(devicePixelRatio, MAX_DENSITY);

/**
 * @param {HTMLCanvasElement} element
 * @param {number} side
 * @param {import("./families.js").Colors} colors
 * @param {import("./run.js").Run} run
 * @param {unknown} answer
 * @param {unknown} [before]
 */
export function paintBoard(element, side, colors, { family, instance }, answer, before = null) {
  const canvas = resized(element, Math.round(side * density()));
  canvas.scale(density(), density());
  canvas.fillStyle = colors.card;
  canvas.fillRect(0, 0, side, side);
  family.paint(canvas, side, colors, instance, answer, before);
}

/**
 * Return a context without a scale; to set a size, even the same one, takes a new memory.
 * @param {HTMLCanvasElement} element
 * @param {number} pixels
 */
export function resized(element, pixels) {
  if (element.width !== pixels) element.width = element.height = pixels;
  const canvas = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
  canvas.resetTransform();
  return canvas;
}
