// Requests to captiv. What it refuses becomes a Refusal with its words; what does not reach it, too.

export class Refusal extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem.detail ?? "captiv did not answer as expected.");
    this.status = status;
    this.code = problem.code ?? "";
    this.hint = problem.hint ?? "";
    this.problem = problem;
  }

  /** Whether captiv was not reached at all. */
  get lost() {
    return this.status === 0;
  }
}

/** Says that captiv was not reached. */
export const unreached = () => new Refusal(0, { code: "lost", detail: "captiv cannot be reached." });

/** @param {string} path @param {RequestInit} [options] */
export async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreached();
  }
  const content = await response.json().catch(() => null);
  options?.signal?.throwIfAborted();
  if (content === null && response.status >= 500) {
    // Not captiv's words: a tunnel or proxy says that captiv is away.
    throw unreached();
  }
  if (!response.ok) throw new Refusal(response.status, content ?? {});
  if (content === null) throw new Refusal(0, { code: "lost", detail: "captiv was lost in the middle of its answer." });
  return content;
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] */
export function get(path, query = {}, signal) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") asked.set(name, String(value));
  }
  const text = asked.toString();
  return request(text ? `${path}?${text}` : path, { signal });
}

/** @param {string} method @param {string} path @param {any} [body] */
export function send(method, path, body) {
  return request(path, {
    method,
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/** @param {{id: string, stamp: string}} image @param {"small"|"large"} size */
export const picture = (image, size) => `/images/${image.id}/${size}?${image.stamp}`;
