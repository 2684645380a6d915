// A text of the hub's, in which backquotes stand around code.
import { html } from "../html.js";

export function Coded({ text }) {
  return text.split("`").map((part, number) => (number % 2 ? html`<code key=${number}>${part}</code>` : part));
}
