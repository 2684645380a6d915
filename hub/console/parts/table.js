// A table: rows that keep their identity, a caption, and on a narrow page each row as a card. Roles are said, since a
// browser forgets them when rows become cards.
import { html } from "../html.js";

// columns: {name, title, cell(row), number?, long?: of words without end}. empty: What is said instead of rows.
export function Table({ caption, hidden, columns, rows, keyOf, empty, busy, marked }) {
  if (!rows.length) return html`<p class="nothing">${empty}</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table role="table" aria-busy=${busy ? "true" : null}>
      <caption class=${hidden ? "unseen" : ""}>${caption}</caption>
      <thead role="rowgroup"><tr role="row">
        ${columns.map(
          (column) => html`<th key=${column.name} role="columnheader" scope="col"
          class=${column.number ? "number" : ""}>${column.title}</th>`,
        )}
      </tr></thead>
      <tbody role="rowgroup">
        ${rows.map(
          (row) => html`<tr key=${keyOf(row)} role="row" class=${marked?.(row) ? "marked" : ""}>
          ${columns.map(
            (column) => html`<td key=${column.name} role="cell" data-title=${column.title}
            class=${column.number ? "number" : column.long ? "long" : ""}><div>${column.cell(row)}</div></td>`,
          )}
        </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
