/** A row of touch keys below a board. */

import { make } from "./element.js";

/**
 * @typedef {{text: string, label?: string, className?: string, isPressed?: boolean,
 *   act: () => void}} PadKey
 */

/**
 * Return the keys, which take no focus.
 * @param {PadKey[]} keys
 * @param {string} [label]
 */
export function makePad(keys, label = "Keys of the board") {
  const buttons = keys.map(({ text, label: name, className, isPressed, act }) =>
    make(
      "button",
      {
        type: "button",
        class: `pad-key ${className ?? ""}`,
        "aria-label": name ?? null,
        title: name ?? null,
        "aria-pressed": isPressed === undefined ? null : isPressed,
        onclick: act,
      },
      text,
    ),
  );
  return make("div", { class: "pad", role: "group", "aria-label": label }, ...buttons);
}
