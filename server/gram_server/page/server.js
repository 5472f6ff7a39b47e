/**
 * Requests to the page's server: streams, lists and metrics. URLs are relative, so that the page
 * works below any path.
 */

const KEY_NAME = "gram-api-key";
const DEFAULT_RETRY_S = 3;

/** A refusal or failure, with the server's problem document where it sent one. */
export class Problem extends Error {
  /**
   * @param {number} status  0 where the server could not be reached
   * @param {Record<string, any>} document
   * @param {number | null} [retryAfterS]  when the same request may succeed
   */
  constructor(status, document, retryAfterS = null) {
    super(document.detail ?? document.title ?? `the server answered with status ${status}`);
    this.status = status;
    this.document = document;
    this.retryAfterS = retryAfterS;
  }
}

/** Return the API key of this browser tab, or nothing. */
export function apiKey() {
  return sessionStorage.getItem(KEY_NAME) ?? "";
}

/** @param {string} key */
export function keepApiKey(key) {
  if (key) sessionStorage.setItem(KEY_NAME, key);
  else sessionStorage.removeItem(KEY_NAME);
}

/**
 * Return the answer to a request, or throw the problem.
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function ask(path, options = {}) {
  const key = apiKey();
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Problem(0, { detail: "the server cannot be reached" });
  }
  if (response.ok) return response;
  const afterS = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const isBusy = response.status === 429 || response.status === 503;
  const retryAfterS = Number.isNaN(afterS) ? DEFAULT_RETRY_S : afterS;
  throw new Problem(response.status, await documentOf(response), isBusy ? retryAfterS : null);
}

/**
 * Yield the events of solving a puzzle, as they come.
 * @param {string} path  with its query
 * @param {unknown} body
 * @param {AbortSignal} signal
 */
export async function* solveEvents(path, body, signal) {
  const response = await ask(path, {
    method: "POST",
    headers: { Accept: "text/event-stream", "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (response.body) yield* readEvents(response.body);
}

/**
 * Yield the events of a text/event-stream.
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<{kind: string, data: any}>}
 */
export async function* readEvents(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      text += decoder.decode(value, { stream: !done });
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = readEvent(block);
        if (event) yield event;
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** @param {string} block */
function readEvent(block) {
  let kind = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (name === "event") kind = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { kind, data: JSON.parse(data.join("\n")) } : null;
}

/** @param {Response} response */
async function documentOf(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}
