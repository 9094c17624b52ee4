// What the page asks of its server: JSON, event streams over fetch, uploads with progress.

/** An error with a hint how to fix it. */
export class ApiError extends Error {
  constructor(message, hint = "", status = 0) {
    super(message);
    this.hint = hint;
    this.status = status;
  }

  /** Whether the server could not be reached at all. */
  get offline() {
    return this.status === 0;
  }
}

/** Dispatches "login" when the server requires a token, and "offline" and "online" as the connection changes. */
export const network = new EventTarget();

const OFFLINE = new ApiError("The server does not respond.", "Check that it is running. The page reconnects automatically.");

async function send(method, path, { json, signal, body } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      headers: json === undefined ? {} : { "Content-Type": "application/json" },
      body: json === undefined ? body : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    network.dispatchEvent(new Event("offline"));
    throw OFFLINE;
  }
  network.dispatchEvent(new Event("online"));
  if (response.ok) return response;
  if (response.status === 401 && path !== "api/session") network.dispatchEvent(new Event("login"));
  throw errorOf(response.status, await response.json().catch(() => null), response.headers.get("Retry-After"));
}

function errorOf(status, body, retryAfter) {
  const error = body?.error ?? {};
  const wait = status === 429 && retryAfter ? `Try again in ${retryAfter} s.` : "";
  return new ApiError(error.message ?? `The server rejected the request (${status}).`, error.hint || wait, status);
}

/** Make a path of segments and a query; what is null or empty is left out of the query. */
export function path(segments, query = {}) {
  const wanted = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(wanted).toString();
  return `api/${segments.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

export async function get(url, options) {
  return (await send("GET", url, options)).json();
}

export async function post(url, json = {}, options = {}) {
  return body(await send("POST", url, { json, ...options }));
}

export async function patch(url, json) {
  return body(await send("PATCH", url, { json }));
}

export async function remove(url) {
  return body(await send("DELETE", url));
}

export async function getText(url) {
  return (await send("GET", url)).text();
}

async function body(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Yield `{event, data}` of an event stream; ends when the server ends it, throws AbortError where it is aborted. */
export async function* events(method, url, { json, signal } = {}) {
  const response = await send(method, url, { json, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        network.dispatchEvent(new Event("offline"));
        throw new ApiError("The connection was lost.", "Try again when the server is available.");
      });
      if (done) return;
      rest += value;
      const parts = rest.split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const found = parseEvent(part);
        if (found) yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}

/**
 * Send files, with a password where they are encrypted; `onProgress` gets bytes sent and total. XMLHttpRequest reports
 * them, fetch does not.
 */
export function upload(url, files, { password = null, onProgress }) {
  const form = new FormData();
  if (password !== null) form.append("password", password);
  for (const file of files) form.append("files", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response);
      else reject(errorOf(request.status, request.response, request.getResponseHeader("Retry-After")));
    });
    request.addEventListener("error", () => {
      network.dispatchEvent(new Event("offline"));
      reject(OFFLINE);
    });
    request.send(form);
  });
}
