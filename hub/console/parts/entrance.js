// Where a key is entered, when the hub asks for one.
import { html, useEffect, useRef } from "../html.js";
import { session } from "../session.js";

export function Entrance() {
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const enter = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key) session.enter(key);
  };
  return html`<form class="entrance panel" onSubmit=${enter}>
    <h1>Sign in</h1>
    <p id="about-key">The hub asks who you are. Enter an operator's API key, or an access token with the scope
      <code> hub/admin</code>. It stays in this tab alone, and is forgotten when the tab is closed.</p>
    <label for="key">Key or token</label>
    <input id="key" ref=${field} type="password" autocomplete="off" spellcheck="false" required
      aria-describedby=${session.refused ? "about-key refused" : "about-key"}
      aria-invalid=${session.refused ? "true" : null} />
    ${session.refused && html`<p id="refused" class="failure" role="alert">${session.refused}</p>`}
    <button type="submit" class="main">Sign in</button>
  </form>`;
}
