// What was done, said once where everybody is told: also to whoever does not see the page.
import { html, useEffect, useState } from "./html.js";
import { Coded } from "./parts/coded.js";

const listeners = new Set();

export function notice(text, kind = "good") {
  for (const listener of listeners) listener({ text, kind, at: Date.now() });
}

export function Notices() {
  const [said, say] = useState(null);
  useEffect(() => {
    listeners.add(say);
    return () => listeners.delete(say);
  }, []);
  useEffect(() => {
    if (said?.kind !== "good") return undefined; // what is to be done stays
    const timer = setTimeout(() => say(null), 12000);
    return () => clearTimeout(timer);
  }, [said]);
  return html`<div class="notices" role="status">
    ${
      said &&
      html`<p class=${`notice ${said.kind}`} key=${said.at}>
      <span><${Coded} text=${said.text} /></span>
      <button type="button" class="plain" aria-label="Dismiss this notice" onClick=${() => say(null)}>×</button>
    </p>`
    }
  </div>`;
}
