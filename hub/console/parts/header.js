// What stands above and beside each view: the way to the others, whether what is shown is live, light or dark, the key.
import { html, useEffect, useState } from "../html.js";
import { live, useLiveState } from "../live.js";
import { session } from "../session.js";
import { choose, onTheme, theme } from "../theme.js";
import { moment } from "../words.js";

// The hub's guide, which is the same for all tenants.
const GUIDE = location.pathname.replace(/(t\/[^/]+\/)?console\/$/, "guide");

export function Header({ places, place }) {
  const [open, set] = useState(false);
  useEffect(() => set(false), [place]);
  return html`<header class="bar">
    <div class="top">
      <a class="name" href="#/"><${Mark} />FHIR event hub</a>
      ${
        !session.wanted &&
        html`<button type="button" class="menu" aria-expanded=${open} aria-controls="places"
        onClick=${() => set(!open)}>Menu</button>`
      }
      ${!session.wanted && html`<${Liveness} />`}
      <${ThemeSwitch} />
      ${session.key && html`<button type="button" class="quiet" onClick=${() => session.leave()}>Sign out</button>`}
    </div>
    ${
      !session.wanted &&
      html`<nav id="places" class=${open ? "open" : ""} aria-label="Views">
      <ul>
        ${Object.entries(places).map(
          ([name, [title]]) => html`<li key=${name}>
          <a href=${`#/${name}`} aria-current=${name === place ? "page" : null} onClick=${() => set(false)}>${title}</a>
        </li>`,
        )}
        <li><a href=${GUIDE}>Guide</a></li>
      </ul>
    </nav>`
    }
  </header>`;
}

function Mark() {
  return html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <path d="M4 16h8M20 12.5 27 6M20.5 16H28M20 19.5 27 26" /><circle cx="16" cy="16" r="4" />
  </svg>`;
}

const SAID = { connecting: "Connecting", live: "Live", stale: "Stale", off: "Paused" };

function Liveness() {
  const state = useLiveState();
  const since = new Date(live.since).toISOString();
  const text = state === "stale" ? `Stale since ${moment(since).split(".")[0]}` : SAID[state];
  const why = state === "stale" && live.failure ? live.failure.message : "";
  return html`<span class=${`liveness ${state}`} role="status" title=${why}>
    <span class="dot" aria-hidden="true"></span>${text}
  </span>`;
}

function ThemeSwitch() {
  const [now, set] = useState(theme);
  useEffect(() => onTheme(set), []);
  const dark = now === "dark";
  return html`<button type="button" class="quiet switch" role="switch" aria-checked=${dark}
    onClick=${() => choose(dark ? "light" : "dark")}>Dark colours</button>`;
}
