// What matching costs: how many Subscriptions each change is held against, and whose filters cost most.
import { useFetched } from "../fetched.js";
import { html } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { usePages } from "../parts/paging.js";
import { Table } from "../parts/table.js";
import { to } from "../route.js";
import { NONE, count, lasting, lastPart } from "../words.js";

export function Index() {
  const fetched = useFetched("admin/index", 10);
  return html`<h1>Index</h1>
    <${Fetched} fetched=${fetched} what="The index">
      ${fetched.told && html`<${Types} rows=${fetched.told.types} /><${Criteria} rows=${fetched.told.criteria} />`}
    <//>`;
}

function Types({ rows }) {
  const [shown, controls] = usePages([...rows].sort((one, other) => other.scanned - one.scanned));
  return html`<section aria-labelledby="types"><h2 id="types">Held against each change</h2>
    <p class="aside">Most filters are found by an index. Those that can't be are held against every change of their type:
      many of them make matching slow.</p>
    <${Table} caption="Subscriptions that each change of a type is held against" hidden=${true} rows=${shown} columns=${TYPES}
      keyOf=${(row) => `${row.version} ${row.type}`} empty="Every filter is found by the index." />${controls}
  </section>`;
}

function Criteria({ rows }) {
  const [shown, controls] = usePages(rows);
  return html`<section aria-labelledby="criteria"><h2 id="criteria">Filters that cost most</h2>
    <p class="aside">By the time that matching has spent on them lately: half of it fades away in ten minutes.</p>
    <${Table} caption="Subscriptions by the time that their filters have taken" hidden=${true} rows=${shown} columns=${CRITERIA}
      keyOf=${(row) => `${row.version}/${row.id}`} empty="No filter has taken time worth telling." />${controls}
  </section>`;
}

function topics(row) {
  return row.topics.map((each) => `${lastPart(each.topic)} (${count(each.scanned)})`).join(", ") || NONE;
}

const TYPES = [
  {
    name: "type",
    title: "Type",
    cell: (row) => html`${row.type} <span class="small">${row.version.toUpperCase()}</span>`,
  },
  { name: "scanned", title: "Subscriptions", number: true, cell: (row) => count(row.scanned) },
  { name: "topics", title: "Of topics", long: true, cell: (row) => topics(row) },
];
const CRITERIA = [
  {
    name: "id",
    title: "Subscription",
    long: true,
    cell: (row) => html`<a href=${to(["subscriptions", row.version, row.id])}>${row.id}</a>`,
  },
  {
    name: "filters",
    title: "Filters",
    long: true,
    cell: (row) => html`<span class="code">${row.filters.join(" and ") || NONE}</span>`,
  },
  { name: "took", title: "Took", number: true, cell: (row) => lasting(row.microseconds / 1e6) },
  { name: "share", title: "Share", number: true, cell: (row) => `${Math.round(row.share * 100)} %` },
];
