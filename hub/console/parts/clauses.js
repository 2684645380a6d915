// Why a change concerns a Subscription, or not: the trigger and each clause, with what was found.
import { html } from "../html.js";
import { Verdict } from "./state.js";

export function Clauses({ of }) {
  return html`<ul class="clauses">
    ${of.trigger.map(
      (each, number) => html`<li key=${`t${number}`}>
      <${Verdict} met=${each.error ? null : each.fired} yes="fires" no="does not fire" unknown="failed" />
      <div><p>The topic's trigger${of.trigger.length > 1 ? ` ${number + 1}` : ""}</p>
        <p class="found">${each.error || each.reason}</p></div>
    </li>`,
    )}
    ${of.filters.map(
      (each, number) => html`<li key=${`f${number}`}>
      <${Verdict} met=${each.error ? null : each.matched} unknown=${each.error ? "failed" : "for other types"} />
      <div><p class="code">${each.filter}</p><p class="found">${found(each)}</p></div>
    </li>`,
    )}
    ${!of.filters.length && html`<li key="none"><span></span><p class="found">The Subscription has no filters.</p></li>`}
  </ul>`;
}

function found(clause) {
  if (clause.error) return clause.error;
  if (!clause.found.length) return "Nothing that it looks for was found, or you may not see it.";
  return html`Found ${clause.found.map((each, number) => html`${number ? ", " : ""}<code key=${number}>${each}</code>`)}`;
}
