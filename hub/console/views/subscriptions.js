// All Subscriptions: found by what is asked, in the address; a page at a time.
import { useFetched } from "../fetched.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { Origin } from "../parts/origin.js";
import { ROWS, beginning } from "../parts/paging.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { Ago } from "../parts/time.js";
import { go, here, to } from "../route.js";
import { ResumeAll } from "./resuming.js";
import { count, lastPart, several } from "../words.js";

const ASKED = ["status", "topic", "owner", "origin", "version", "q", "lagging", "sort"];
// Those that are asked for less often.
const FURTHER = ["version", "topic", "owner", "origin", "sort"];
const TYPING = 300;

export function Subscriptions({ query }) {
  const asked = Object.fromEntries([...ASKED, "page"].map((name) => [name, query.get(name) ?? ""]));
  const given = Object.entries({ ...asked, count: ROWS }).filter(([, value]) => value);
  const fetched = useFetched(`admin/subscriptions?${new URLSearchParams(given)}`, 5);
  // By the address as it is then: what was typed is asked for some time after it was.
  const ask = (changed, options) =>
    go(to(["subscriptions"], { ...Object.fromEntries(here().query), page: "", ...changed }), options);
  const told = fetched.told;
  const next = told && beginning(told.next, "page");
  return html`<section aria-labelledby="subscriptions">
    <div class="heading">
      <h1 id="subscriptions">Subscriptions</h1>
      <span class="aside" role="status">${told ? `${several(told.total, "Subscription")} found` : ""}</span>
    </div>
    <${Filters} asked=${asked} ask=${ask} />
    ${
      asked.status === "error" &&
      html`<${ResumeAll} query=${wanted(asked)} total=${told?.total ?? 0} again=${fetched.again} />`
    }
    <${Fetched} fetched=${fetched} what="The list of Subscriptions">
      ${
        told &&
        html`<${Table} caption="Subscriptions, and how each stands" hidden=${true} rows=${told.subscriptions}
        busy=${fetched.asking} keyOf=${(row) => `${row.version}/${row.id}`} columns=${COLUMNS}
        empty=${given.length > 1 ? "No Subscription is like that." : "Nobody has subscribed yet."} />
      <nav class="paging" aria-label="Pages">
        ${asked.page && html`<a class="button" href=${to(["subscriptions"], { ...asked, page: "" })}>First page</a>`}
        ${next && html`<a class="button" href=${to(["subscriptions"], { ...asked, page: next })}>Next page</a>`}
      </nav>`
      }
    <//>
  </section>`;
}

// What is asked for, without what is empty and the page.
function wanted({ page: _, ...asked }) {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value));
}

function Filters({ asked, ask }) {
  const more = FURTHER.some((name) => asked[name]);
  return html`<form class="fields" role="search" aria-label="Subscriptions" onSubmit=${(event) => event.preventDefault()}>
    <${Typed} name="q" title="Find" hint="id, owner, topic, origin…" asked=${asked} ask=${ask} />
    <${Chosen} name="status" title="Status" asked=${asked} ask=${ask}
      choices=${["requested", "active", "error", "off", "error,off"]} words=${{ "": "any", "error,off": "error or off" }} />
    <label class="check"><input type="checkbox" checked=${asked.lagging === "true"}
      onChange=${(event) => ask({ lagging: event.target.checked ? "true" : "" })} />Only where events wait</label>
    <details class="wide" open=${more}><summary>More filters, and the order</summary><div class="fields">
    <${Chosen} name="version" title="FHIR version" asked=${asked} ask=${ask} choices=${["r4", "r4b", "r5"]}
      words=${{ "": "any", r4: "R4", r4b: "R4B", r5: "R5" }} />
    <${Typed} name="topic" title="Topic" hint="its whole URL" asked=${asked} ask=${ask} />
    <${Typed} name="owner" title="Owner" asked=${asked} ask=${ask} />
    <${Typed} name="origin" title="Origin" hint="https://ward.example:443" asked=${asked} ask=${ask} />
    <${Chosen} name="sort" title="In the order of" asked=${asked} ask=${ask} choices=${["updated", "id"]}
      words=${{ "": "longest waiting", updated: "last change of status", id: "id" }} />
    </div></details>
  </form>`;
}

function Typed({ name, title, hint, asked, ask }) {
  const [text, type] = useState(asked[name]);
  const timer = useRef(0);
  useEffect(() => type(asked[name]), [asked[name]]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const typed = (event) => {
    const value = event.target.value;
    type(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => ask({ [name]: value.trim() }, { replace: true }), TYPING);
  };
  return html`<div>
    <label for=${`by-${name}`}>${title}</label>
    <input id=${`by-${name}`} type="search" value=${text} placeholder=${hint} spellcheck="false" autocomplete="off"
      onInput=${typed} />
  </div>`;
}

function Chosen({ name, title, choices, words, asked, ask }) {
  return html`<div>
    <label for=${`by-${name}`}>${title}</label>
    <select id=${`by-${name}`} value=${asked[name]} onChange=${(event) => ask({ [name]: event.target.value })}>
      ${["", ...choices].map((each) => html`<option key=${each} value=${each}>${words[each] ?? each}</option>`)}
    </select>
  </div>`;
}

const COLUMNS = [
  {
    name: "id",
    title: "Subscription",
    long: true,
    cell: (row) => html`<a href=${to(["subscriptions", row.version, row.id])}>${row.id}</a>
    <div class="small">${row.version.toUpperCase()}${row.owner && `, ${row.owner}`}</div>`,
  },
  { name: "status", title: "Status", cell: (row) => html`<${State} status=${row.status} />` },
  {
    name: "topic",
    title: "Topic",
    long: true,
    cell: (row) => html`<span title=${row.topic}>${lastPart(row.topic)}</span>`,
  },
  { name: "origin", title: "Origin", long: true, cell: (row) => html`<${Origin} of=${row.origin} />` },
  { name: "waiting", title: "Waiting", number: true, cell: (row) => count(row.undelivered) },
  { name: "oldest", title: "Oldest", cell: (row) => html`<${Ago} at=${row.oldestAt} />` },
  { name: "delivered", title: "Events", number: true, cell: (row) => count(row.events) },
  {
    name: "outcome",
    title: "Last outcome",
    long: true,
    cell: (row) => html`${row.error || row.outcome || "Nothing was sent yet"}
    ${row.outcomeAt && html`<div class="small"><${Ago} at=${row.outcomeAt} /></div>`}`,
  },
];
