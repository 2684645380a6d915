// An instant, as people read it; the exact one is there for whoever asks.
import { html } from "../html.js";
import { NONE, ago, moment } from "../words.js";

export function Ago({ at }) {
  return at ? html`<time datetime=${at} title=${at}>${ago(at)}</time>` : NONE;
}

export function Moment({ at }) {
  return at ? html`<time datetime=${at} title=${at}>${moment(at)}</time>` : NONE;
}
