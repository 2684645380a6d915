// What is said when the hub's answer is an error, or is still to come.
import { html } from "../html.js";
import { Coded } from "./coded.js";

// fetched: As `useFetched` gives it. Children are shown once there is an answer, however old.
export function Fetched({ fetched, what, children }) {
  const { told, failure } = fetched;
  return html`
    ${
      failure &&
      html`<div class="failure" role="alert">
      <p>${told ? `${what} could not be read again, and is shown as it was before. ` : `${what} could not be read. `}
        <${Coded} text=${reason(failure)} /></p>
      <button type="button" onClick=${fetched.again}>Try again</button>
    </div>`
    }
    ${!told && !failure && html`<p class="waiting" role="status">Reading…</p>`}
    ${told && children}
  `;
}

function reason(failure) {
  if (failure.status === 403) return `${failure.message} The key that you signed in with is no operator's.`;
  return failure.message;
}
