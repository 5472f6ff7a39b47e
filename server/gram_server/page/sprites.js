/** Signs of boards, painted once and copied: a canvas copies a picture faster than it sets a text. */

const MAX_SPRITES = 500;
/** @type {Map<string, HTMLCanvasElement>} */
const sprites = new Map();

/**
 * Return a function that paints a sign into the square of a cell, with its edges on whole pixels.
 * `key` names the sign, its font and its colour; `paint` paints it into a square of that side at 0, 0.
 * @param {CanvasRenderingContext2D} canvas  scaled, not turned
 * @returns {(place: {key: string, x: number, y: number, side: number},
 *   paint: (canvas: CanvasRenderingContext2D) => void) => void}
 */
export function spritesOn(canvas) {
  const scale = canvas.getTransform().a;
  const pixel = (/** @type {number} */ at) => Math.round(at * scale) / scale;
  return ({ key, x, y, side }, paint) => {
    const name = `${key} ${side} ${scale}`;
    const known = sprites.get(name);
    const sprite = known ?? painted(Math.ceil(side * scale), scale, paint);
    if (sprites.size >= MAX_SPRITES) sprites.clear();
    if (!known) sprites.set(name, sprite);
    canvas.drawImage(sprite, pixel(x), pixel(y), sprite.width / scale, sprite.height / scale);
  };
}

/**
 * @param {number} pixels
 * @param {number} scale
 * @param {(canvas: CanvasRenderingContext2D) => void} paint
 */
function painted(pixels, scale, paint) {
  const element = document.createElement("canvas");
  element.width = element.height = pixels;
  const canvas = element.getContext("2d");
  canvas?.scale(scale, scale);
  if (canvas) paint(canvas);
  return element;
}
