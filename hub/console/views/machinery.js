// What the hub runs on: partitions, workers, origins that are left alone, Redis. Only the whole hub's operator sees it.
import { html } from "../html.js";
import { Table } from "../parts/table.js";
import { NONE, bytes, count, lasting, several } from "../words.js";

export function Machinery({ told }) {
  return html`
    <section aria-labelledby="totals"><h2 id="totals">Since the hub began to count</h2><${Totals} of=${told.totals} /></section>
    ${
      told.matching &&
      html`<div class="beside">
      <section aria-labelledby="partitions">
        <h2 id="partitions">Partitions</h2>
        <${Table} caption="Partitions of the changes, and who matches them" hidden=${true} rows=${told.matching.partitions}
          keyOf=${(row) => row.number} empty="There are none." columns=${PARTITIONS} />
      </section>
      <section aria-labelledby="workers">
        <h2 id="workers">Workers</h2>
        <${Table} caption="Processes at work" hidden=${true} rows=${told.workers} keyOf=${(row) => `${row.kind} ${row.name}`}
          empty="Nobody is at work: nothing is matched or delivered." columns=${WORKERS} />
        <p class="aside">${several(told.leases, "Subscription")} ${told.leases === 1 ? "is" : "are"} being served at this moment.</p>
      </section>
    </div>
    <section aria-labelledby="redis"><h2 id="redis">Redis</h2><${Redis} told=${told} /></section>`
    }
  `;
}

const PARTITIONS = [
  { name: "number", title: "Partition", cell: (row) => row.number },
  {
    name: "matcher",
    title: "Matched by",
    long: true,
    cell: (row) => row.matcher ?? html`<strong class="bad">nobody</strong>`,
  },
  { name: "unmatched", title: "To match", number: true, cell: (row) => count(row.unmatched) },
  { name: "behind", title: "Behind", number: true, cell: (row) => lasting(row.behindSeconds) },
];
const WORKERS = [
  { name: "kind", title: "Does", cell: (row) => row.kind },
  { name: "name", title: "Process", long: true, cell: (row) => row.name },
  { name: "has", title: "Has", cell: has },
];

const HAS = { deliver: "whatever is due", clock: "what time alone brings about" };

function has({ kind, partitions }) {
  if (!partitions) return HAS[kind] ?? NONE;
  return partitions.length ? `partitions ${partitions.join(", ")}` : "no partition";
}

const TOTALS = [
  ["stored", "Changes stored"],
  ["matched", "Changes matched"],
  ["owed", "Events numbered"],
  ["delivered", "Events delivered"],
  ["notifications", "Notifications accepted"],
  ["attempts", "Attempts"],
  ["failed", "Failed attempts"],
  ["withheld", "Events withheld"],
  ["dropped", "Events dropped"],
  ["setAside", "Changes set aside"],
];

function Totals({ of }) {
  return html`<dl class="facts">
    ${TOTALS.filter(([name]) => of[name] !== undefined).map(
      ([name, title]) => html`<div key=${name}>
      <dt>${title}</dt><dd>${count(of[name])}</dd>
    </div>`,
    )}
  </dl>`;
}

function Redis({ told }) {
  const { redis } = told;
  const most = redis.maxBytes ? `of ${bytes(redis.maxBytes)}` : "without a limit of its own";
  const facts = [
    ["Version", redis.version],
    ["Memory", `${bytes(redis.usedBytes)} ${most}`],
    ["When it is full", redis.policy],
    ["On disk", redis.appendonly ? `each write (fsync ${redis.fsync}), ${bytes(redis.appendBytes)}` : "no"],
    ["May forget", redis.volatile || "no"],
    ["Transactions under way", count(told.transactions)],
    ["Erasures under way", count(told.erasures)],
    ["Writes", told.declines || "taken"],
  ];
  return html`<dl class="facts">
    ${facts.map(([title, value]) => html`<div key=${title}><dt>${title}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
