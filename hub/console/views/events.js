// The events of a Subscription, the newest first, each on the way to its trace.
import { useFetched } from "../fetched.js";
import { html, useState } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { ROWS, beginning } from "../parts/paging.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { Moment } from "../parts/time.js";
import { to } from "../route.js";
import { NONE, count } from "../words.js";

function resource({ type, id, versionId }) {
  return type ? `${type}/${id}, version ${versionId}` : "not kept, or not to be told any more";
}

export function Events({ path, version, id, events }) {
  const [before, turn] = useState("");
  const fetched = useFetched(`${path}/events?count=${ROWS}${before && `&before=${before}`}`, before ? 0 : 3);
  const next = fetched.told && beginning(fetched.told.next, "before");
  const columns = [
    {
      name: "number",
      title: "Event",
      cell: (row) => html`<a href=${to(["subscriptions", version, id, "events", String(row.number)])}>
      ${count(row.number)}<span class="unseen">, its trace</span></a>`,
    },
    { name: "state", title: "State", cell: (row) => html`<${State} status=${row.state} />` },
    { name: "change", title: "Change", cell: (row) => row.interaction ?? NONE },
    { name: "resource", title: "Resource", long: true, cell: (row) => resource(row) },
    { name: "at", title: "When", cell: (row) => html`<span class="one-line"><${Moment} at=${row.at} /></span>` },
  ];
  return html`<section aria-labelledby="events"><h2 id="events">Events</h2>
    <${Fetched} fetched=${fetched} what="The events">
      ${
        fetched.told &&
        html`<${Table} caption=${`Events of ${id}, the newest first`} hidden=${true} columns=${columns}
        rows=${fetched.told.events} keyOf=${(row) => row.number} busy=${fetched.asking && before !== ""}
        empty=${events ? "None of them is kept any more." : "No change has concerned it yet."} />
      <nav class="paging" aria-label="Pages of events">
        ${before && html`<button type="button" onClick=${() => turn("")}>Newest</button>`}
        ${next && html`<button type="button" onClick=${() => turn(next)}>Older</button>`}
      </nav>`
      }
    <//>
  </section>`;
}
