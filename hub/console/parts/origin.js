// An origin, which a narrow place breaks where it has parts.
import { html } from "../html.js";

export function Origin({ of }) {
  return of.split(/(?<=\/\/)|(?=:\d+$)/).map((part, number) => html`${number > 0 && html`<wbr />`}${part}`);
}
