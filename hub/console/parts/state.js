// How a Subscription, an event or an origin stands: by colour, by shape and in words.
import { html } from "../html.js";

const SHAPES = {
  active: () => html`<circle cx="6" cy="6" r="5" />`,
  requested: () => html`<path d="M6 1a5 5 0 1 0 5 5H6z" />`,
  error: () => html`<path d="M6 .5 11.8 11H.2z" />`,
  off: () => html`<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="2" />`,
};
const LIKE = {
  open: "error",
  failing: "requested",
  drained: "off",
  delivered: "active",
  waiting: "requested",
  kept: "requested",
  dropped: "error",
};

export function State({ status }) {
  const shape = SHAPES[status] ?? SHAPES[LIKE[status]] ?? SHAPES.off;
  return html`<span class=${`state ${status}`}>
    <svg viewBox="0 0 12 12" aria-hidden="true">${shape()}</svg>${status}
  </span>`;
}

export function Verdict({ met, yes = "met", no = "not met", unknown = "not looked at" }) {
  const [mark, text, kind] =
    met === true ? ["✓", yes, "yes"] : met === false ? ["✗", no, "no"] : ["–", unknown, "none"];
  return html`<span class=${`verdict ${kind}`}><span aria-hidden="true">${mark}</span> <span>${text}</span></span>`;
}
