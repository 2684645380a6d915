// JSON as people read it, and JSON that they write.
import { html } from "../html.js";

export function Json({ of }) {
  return html`<pre tabindex="0">${JSON.stringify(of, null, 2)}</pre>`;
}

// What a text says, which has to be an object. Throws an Error that says where it is not.
export function parsed(text, what) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} is no JSON: ${error.message}`);
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) {
    throw new Error(`${what} must be a JSON object, in braces.`);
  }
  return found;
}
