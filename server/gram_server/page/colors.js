/**
 * Light and dark: the style sheet's colours for canvases, and the button that changes the theme.
 */

const THEME = "gram-theme";
const NAMES = /** @type {const} */ ({
  paper: "--paper",
  ink: "--ink",
  muted: "--muted",
  card: "--board",
  line: "--line",
  lineStrong: "--line-strong",
  accent: "--accent",
  good: "--good",
  bad: "--bad",
  change: "--change",
  boardLight: "--board-light",
  boardDark: "--board-dark",
});
const NUM_HUES = 8;

/** Return the colours as they are now. @returns {import("./families.js").Colors} */
export function currentColors() {
  const probe = document.createElement("span");
  // With forced colours every text has the same one; the style sheet's are then the system's.
  probe.style.forcedColorAdjust = "none";
  document.body.append(probe);
  const resolve = (/** @type {string} */ name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const named = Object.entries(NAMES).map(([name, variable]) => [name, resolve(variable)]);
  const hues = Array.from({ length: NUM_HUES }, (_, hue) => resolve(`--hue-${hue}`));
  const font = getComputedStyle(document.body).fontFamily;
  probe.remove();
  return { ...Object.fromEntries(named), hues, font };
}

/**
 * Let a button change the theme; `onChange` is also called when the system's theme changes.
 * @param {HTMLElement} button
 * @param {() => void} onChange
 */
export function connectTheme(button, onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const forced = matchMedia("(forced-colors: active)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const update = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    onChange();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem(THEME, root.dataset.theme);
    update();
  });
  system.addEventListener("change", update);
  forced.addEventListener("change", update);
  update();
}
