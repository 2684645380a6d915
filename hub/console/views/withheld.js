// What was not told, and why: kept back when it was matched or sent, dropped, or skipped.
import { useFetched } from "../fetched.js";
import { html } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { ROWS, beginning, usePages } from "../parts/paging.js";
import { Table } from "../parts/table.js";
import { Moment } from "../parts/time.js";
import { to } from "../route.js";
import { NONE, count, numbered } from "../words.js";

export function Withheld({ query }) {
  const page = query.get("page") ?? "";
  const fetched = useFetched(`admin/withheld?${new URLSearchParams({ count: ROWS, ...(page && { page }) })}`, 10);
  return html`<h1>Withheld and expired</h1>
    <${Fetched} fetched=${fetched} what="What was not told">
      ${
        fetched.told &&
        html`<${Lost} rows=${fetched.told.lost} />
        <${Kept} told=${fetched.told} page=${page} busy=${fetched.asking} />`
      }
    <//>`;
}

function Lost({ rows }) {
  const [shown, controls] = usePages(rows);
  return html`<section aria-labelledby="lost"><h2 id="lost">Dropped or skipped</h2>
    <p class="aside">Numbers that their subscriber sees as a gap. What was dropped is gone; what was skipped is kept for a
      while, and can be resent.</p>
    <${Table} caption="Subscriptions with events that were dropped or skipped" hidden=${true} rows=${shown} columns=${LOST}
      keyOf=${(row) => `${row.version}/${row.id} ${row.kind}`} empty="Nothing was dropped or skipped." />${controls}
  </section>`;
}

function Kept({ told, page, busy }) {
  const next = beginning(told.next, "page");
  return html`<section aria-labelledby="kept"><h2 id="kept">Kept back</h2>
    <p class="aside">Changes that a subscriber would have been told of, and may not know: when they were matched
      (suppressed, without a number) or when they were to be sent (withheld).</p>
    <${Table} caption="What was kept back, the latest first" hidden=${true} rows=${told.entries} busy=${busy} columns=${KEPT}
      keyOf=${(row) => `${row.at} ${row.id ?? row.tenant} ${row.resource} ${row.event}`} empty="Nothing was kept back." />
    <nav class="paging" aria-label="Pages">
      ${page && html`<a class="button" href=${to(["withheld"])}>First page</a>`}
      ${next && html`<a class="button" href=${to(["withheld"], { page: next })}>Next page</a>`}
    </nav>
  </section>`;
}

const SUBSCRIPTION = {
  name: "id",
  title: "Subscription",
  long: true,
  cell: (row) =>
    row.id ? html`<a href=${to(["subscriptions", row.version, row.id])}>${row.id}</a>` : `of tenant ${row.tenant}`,
};
const LOST = [
  SUBSCRIPTION,
  { name: "kind", title: "What", cell: (row) => row.kind },
  { name: "events", title: "Events ever", number: true, cell: (row) => count(row.events) },
  { name: "last", title: "The last of them", cell: (row) => (row.first ? numbered(row.first, row.last) : NONE) },
];
const KEPT = [
  { name: "at", title: "When", cell: (row) => html`<span class="one-line"><${Moment} at=${row.at} /></span>` },
  { name: "kind", title: "What", cell: (row) => row.kind },
  SUBSCRIPTION,
  { name: "event", title: "Event", number: true, cell: (row) => count(row.event) },
  { name: "resource", title: "Change", long: true, cell: (row) => row.resource ?? NONE },
  { name: "reason", title: "Why", long: true, cell: (row) => row.reason },
];
