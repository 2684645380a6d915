// The states of a Subscription, and which one it is in.
import { html } from "../html.js";

const [WIDTH, HEIGHT] = [128, 40];
const PLACES = {
  requested: [2, 62],
  active: [188, 62],
  error: [374, 62],
  off: [188, 158],
};
const MEANS = {
  requested: "its endpoint is asked by a handshake",
  active: "events are sent",
  error: "events are numbered and kept, and not sent",
  off: "nothing is numbered or sent",
};
// A path, what brings it about, and where that is written.
const WAYS = [
  ["M130 82H183", "accepts", 158, 75],
  ["M316 82H369", "fails", 344, 75],
  ["M66 57C76 16 428 16 438 57", "refuses, or is resumed", 252, 20],
  ["M252 102V153", "410, or switched off", 328, 134],
  ["M438 102C438 178 388 178 321 178", "", 0, 0],
  ["M188 178C112 178 66 160 66 107", "resumed", 130, 196],
];

export function Machine({ status, id }) {
  return html`<svg class="machine" viewBox="0 0 504 204" role="img" aria-labelledby=${`machine-${id}`}>
    <title id=${`machine-${id}`}>Of requested, active, error and off, it is ${status}: ${MEANS[status]}.</title>
    <defs>
      <marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse">
        <path class="head" d="M0 0 10 5 0 10z" />
      </marker>
    </defs>
    ${WAYS.map(
      ([path, why, x, y]) => html`<g key=${path}>
      <path class="way" d=${path} marker-end="url(#arrow)" marker-start=${why.includes("refuses") ? "url(#arrow)" : null} />
      ${why && html`<text class="why" x=${x} y=${y}>${why}</text>`}
    </g>`,
    )}
    ${Object.entries(PLACES).map(
      ([name, [x, y]]) => html`<g key=${name} class=${name === status ? `now ${name}` : ""}>
      <rect x=${x} y=${y} width=${WIDTH} height=${HEIGHT} rx="8" />
      <text x=${x + WIDTH / 2} y=${y + 26}>${name === status ? `▸ ${name}` : name}</text>
    </g>`,
    )}
  </svg>`;
}
