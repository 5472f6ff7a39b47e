/** The request for what is on screen, as curl and as Python, and buttons that copy. */

import { byId } from "./element.js";
import { parametersOf } from "./link.js";
import { apiKey } from "./server.js";

const COPIED_MS = 1600;

/**
 * Return the request as a shell command.
 * @param {import("./link.js").Setup} setup
 */
function curlOf({ family, instance, options }) {
  const address = new URL("solve", document.baseURI);
  const query = new URLSearchParams(parametersOf(options));
  const lines = [
    ...(apiKey() ? ['-H "Authorization: Bearer $GRAM_API_KEY"'] : []),
    `-d '${JSON.stringify(family.body(instance))}'`,
    `'${address.origin}${address.pathname}?${query}'`,
  ];
  return ["curl", ...lines].join(" \\\n  ");
}

/**
 * Return the request as a Python program.
 * @param {import("./link.js").Setup} setup
 */
function pythonOf({ family, instance, options }) {
  const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
  const words = Object.entries(parametersOf(options)).map(
    ([name, value]) => `${name}=${value === "false" ? "False" : value}`,
  );
  return [
    "from gram_client import Client",
    "",
    `puzzle = ${JSON.stringify(family.body(instance))}`,
    `with Client("${base}") as client:`,
    `    result = client.solve(puzzle, ${words.join(", ")})`,
    `    for each in result.${family.isUnverified ? "candidates" : "solutions"}:`,
    "        print(each.votes, each.answer)",
  ].join("\n");
}

/** @param {import("./link.js").Setup} setup */
export function showSnippets(setup) {
  byId("curl").textContent = curlOf(setup);
  byId("python").textContent = pythonOf(setup);
}

/**
 * @param {() => import("./link.js").Setup} setupOf
 * @param {(words: string) => void} say
 */
export function connectSnippets(setupOf, say) {
  connectCopy(byId("copy-curl"), () => curlOf(setupOf()), say);
  connectCopy(byId("copy-python"), () => pythonOf(setupOf()), say);
}

/**
 * @param {HTMLButtonElement} button
 * @param {() => string} textOf
 * @param {(words: string) => void} say
 */
export function connectCopy(button, textOf, say) {
  const words = button.textContent ?? "";
  button.addEventListener("click", async () => {
    const isCopied = await copy(textOf());
    button.textContent = isCopied ? "Copied" : "Press Ctrl+C";
    say(isCopied ? "Copied" : "It could not be copied");
    setTimeout(() => (button.textContent = words), COPIED_MS);
  });
}

/**
 * Copy a text, also over plain HTTP, where browsers have no clipboard interface.
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    return isCopied;
  }
}
