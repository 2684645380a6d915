// One event's way: the change, by which clause it matched, its number, the attempts, what became of it.
import { useFetched } from "../fetched.js";
import { html } from "../html.js";
import { Attempts } from "../parts/attempts.js";
import { Clauses } from "../parts/clauses.js";
import { Coded } from "../parts/coded.js";
import { Fetched } from "../parts/failed.js";
import { State } from "../parts/state.js";
import { Moment } from "../parts/time.js";
import { to } from "../route.js";
import { count } from "../words.js";

export function EventTrace({ version, id, number }) {
  const path = `admin/subscriptions/${version}/${encodeURIComponent(id)}/events/${encodeURIComponent(number)}`;
  const fetched = useFetched(path, 3);
  const { told } = fetched;
  return html`
    <p><a href=${to(["subscriptions", version, id])}>Subscription ${id}</a></p>
    <section aria-labelledby="event">
      <div class="heading"><h1 id="event">Event ${number} of ${id}</h1>
        ${told && html`<${State} status=${told.event.state} />`}</div>
      <${Fetched} fetched=${fetched} what="The trace">
        ${
          told &&
          html`<ol class="steps">
          <${Step} title="The change" kind=${told.change ? "yes" : ""}><${Change} of=${told.change} event=${told.event} /><//>
          <${Step} title="Matched" kind=${told.matched ? kindOf(told.matched.matched) : ""}><${Matched} of=${told.matched} /><//>
          <${Step} title=${`Got number ${count(told.event.number)}`} kind="yes">
            <p>Numbers of a Subscription rise by one, and an event keeps its own.</p><//>
          <${Step} title="Attempts" kind=${kindOf(tried(told.attempts))}>
            ${
              told.attempts.length
                ? html`<${Attempts} rows=${told.attempts} caption="Attempts at notifications with this event, the latest first" />`
                : html`<p class="aside">Of the attempts that are still known, none had it.</p>`
            }<//>
          <${Step} title="Outcome" kind=${kindOf({ delivered: true, dropped: false }[told.event.state])}><p><${Coded} text=${told.outcome} /></p><//>
        </ol>`
        }
      <//>
    </section>
  `;
}

function Step({ title, kind, children }) {
  return html`<li class=${kind}><h2>${title}</h2>${children}</li>`;
}

function kindOf(met) {
  return met === true ? "yes" : met === false ? "no" : "";
}

function tried(attempts) {
  return attempts.length ? attempts[0].decision === "delivered" : null;
}

const DONE = { create: "created", update: "updated", delete: "deleted" };

function Change({ of, event }) {
  if (!of) {
    const when = event.at && html`; it happened at <${Moment} at=${event.at} />`;
    return html`<p class="aside">It is not kept any more, or may not be told any more${when}.</p>`;
  }
  return html`<p><code>${of.type}/${of.id}</code> was ${DONE[of.interaction] ?? of.interaction} at <${Moment} at=${of.at} />${" "}
    as version ${of.versionId}${of.publisher && `, by ${of.publisher}`}. ${of.stillKept ? "" : " That version is not kept any more."}</p>`;
}

function Matched({ of }) {
  if (!of) return html`<p class="aside">It can't be said any more by which clause.</p>`;
  return html`<p>${of.text}</p>
    ${of.remarks.map((each) => html`<p class="aside" key=${each}>${each}</p>`)}
    <${Clauses} of=${of} />`;
}
