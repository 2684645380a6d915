// The states of a Subscription, and which one it is in.
import { html } from "../html.js";

const [WIDTH, HEIGHT] = [98, 40];
const PLACES = {
  requested: [1, 62],
  active: [161, 62],
  error: [321, 62],
  off: [161, 158],
};
const MEANS = {
  requested: "its endpoint is asked by a handshake",
  active: "events are sent",
  error: "events are numbered and kept, and not sent",
  off: "nothing is numbered or sent",
};
// A path, what brings it about, and where that is written.
const WAYS = [
  ["M99 82H156", "accepts", 127, 75],
  ["M259 82H316", "fails", 286, 75],
  ["M50 57C60 16 360 16 370 57", "refuses, or is resumed", 210, 20],
  ["M210 102V153", "410, or switched off", 286, 134],
  ["M370 102C370 178 330 178 264 178", "", 0, 0],
  ["M161 178C90 178 50 160 50 107", "resumed", 106, 196],
];

export function Machine({ status, id }) {
  return html`<svg class="machine" viewBox="0 0 420 204" role="img" aria-labelledby=${`machine-${id}`}>
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
