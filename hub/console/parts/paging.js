// From page to page of rows.
import { html, useState } from "../html.js";

export const ROWS = 50;

// What is there on one page of rows that are all known; and the controls to the others.
export function usePages(rows) {
  const [page, turn] = useState(0);
  const last = Math.max(Math.ceil(rows.length / ROWS) - 1, 0);
  const now = Math.min(page, last);
  const shown = rows.slice(now * ROWS, (now + 1) * ROWS);
  const controls = last
    ? html`<nav class="paging" aria-label="Pages">
        <button type="button" disabled=${!now} onClick=${() => turn(now - 1)}>Previous</button>
        <span>Page ${now + 1} of ${last + 1}</span>
        <button type="button" disabled=${now === last} onClick=${() => turn(now + 1)}>Next</button>
      </nav>`
    : null;
  return [shown, controls];
}

// Where the hub says where the next page begins. next: Its URL, of which `name` is what counts.
export function beginning(next, name) {
  return next ? new URL(next, location.href).searchParams.get(name) : null;
}
