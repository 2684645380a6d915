// Asks the hub. All is relative to the page, so that each tenant's console asks its own tenant.
import { heard } from "./clock.js";
import { session } from "./session.js";

const TENANT = new URL("../", document.baseURI);

// status: 0 when there was no answer.
export class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// The response to a request; throws Failure for an error. `path` has no slash at its beginning.
export async function open(path, { method = "GET", body, signal } = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const { key } = session;
  const known = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(new URL(path, TENANT), { method, signal, headers: { ...known, ...type }, ...sent });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The hub does not answer. Is it running, and the network there?");
  }
  heard(response.headers.get("Date"));
  if (response.ok) return response;
  const text = await said(response);
  if (response.status === 401) session.ask(text, key);
  throw new Failure(response.status, text);
}

export async function ask(path, options) {
  return (await open(path, options)).json();
}

async function said(response) {
  try {
    const outcome = await response.json();
    return outcome.issue.map((issue) => issue.details.text).join(" ");
  } catch {
    return `The hub answered with status ${response.status}.`;
  }
}
