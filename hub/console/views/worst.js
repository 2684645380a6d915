// The Subscriptions that are furthest behind.
import { html } from "../html.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { Ago } from "../parts/time.js";
import { to } from "../route.js";
import { count } from "../words.js";

export function Worst({ told }) {
  return html`<section aria-labelledby="worst">
    <div class="heading">
      <h2 id="worst">Furthest behind</h2>
      <a href=${to(["subscriptions"], { sort: "lag" })}>All Subscriptions</a>
    </div>
    <${Table} caption="Subscriptions whose events wait longest" hidden=${true} rows=${told.subscriptions.worst}
      keyOf=${(row) => `${row.version}/${row.id}`} empty="Nothing waits for anybody." columns=${COLUMNS} />
  </section>`;
}

const COLUMNS = [
  {
    name: "id",
    title: "Subscription",
    long: true,
    cell: (row) => html`<a href=${to(["subscriptions", row.version, row.id])}>${row.id}</a>`,
  },
  { name: "status", title: "Status", cell: (row) => html`<${State} status=${row.status} />` },
  { name: "undelivered", title: "Waiting", number: true, cell: (row) => count(row.undelivered) },
  { name: "oldest", title: "Oldest", cell: (row) => html`<${Ago} at=${row.oldestAt} />` },
  { name: "why", title: "Why", long: true, cell: (row) => row.error || row.outcome || "On its way" },
];
