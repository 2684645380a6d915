// Servers of subscribers: those that are left alone since they can't be reached, and those that an operator drains.
import { useFetched } from "../fetched.js";
import { html, useState } from "../html.js";
import { notice } from "../notices.js";
import { Dialog } from "../parts/dialog.js";
import { Fetched } from "../parts/failed.js";
import { Origin } from "../parts/origin.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { Ago } from "../parts/time.js";
import { to } from "../route.js";
import { ask } from "../request.js";
import { count } from "../words.js";

export function Origins() {
  const fetched = useFetched("admin/origins", 3);
  const [asked, begin] = useState(null);
  const close = () => begin(null);
  const done = (told) => {
    close();
    notice(told.text);
    fetched.again();
  };
  const origins = fetched.told?.origins;
  const columns = [
    {
      name: "origin",
      title: "Origin",
      long: true,
      cell: (row) => html`<a href=${to(["subscriptions"], { origin: row.origin })}><${Origin} of=${row.origin} /></a>`,
    },
    { name: "state", title: "State", cell: (row) => html`<${State} status=${row.state} />` },
    { name: "since", title: "Since", cell: (row) => html`<${Ago} at=${row.since} />` },
    { name: "failures", title: "Failures", number: true, cell: (row) => count(row.failures) },
    { name: "parked", title: "Subscriptions held back", number: true, cell: (row) => count(row.parked) },
    {
      name: "next",
      title: "Then",
      cell: (row) =>
        row.state === "drained"
          ? html`goes on <${Ago} at=${row.until} />${row.by && `, says ${row.by}`}`
          : row.probeAt
            ? html`tried again <${Ago} at=${row.probeAt} />`
            : "each Subscription tries by its schedule",
    },
    {
      name: "action",
      title: "Action",
      cell: (row) =>
        row.state === "drained"
          ? html`<${Begin} title="Resume…" origin=${row.origin} begin=${() => begin({ resume: row.origin })} />`
          : html`<${Begin} title="Drain…" origin=${row.origin} begin=${() => begin({ drain: row.origin })} />`,
    },
  ];
  return html`<section aria-labelledby="origins">
    <div class="heading"><h1 id="origins">Origins</h1>
      ${origins && html`<button type="button" onClick=${() => begin({ drain: "" })}>Drain an origin…</button>`}</div>
    <p class="aside">The scheme, host and port of endpoints. One that can't be reached is left alone and tried now and then.
      Drain one while it is being worked on: its events are numbered and kept, and all are sent afterwards, in order.</p>
    ${
      fetched.failure?.status === 404
        ? html`<p>Only the whole hub's operator sees its origins.</p>`
        : html`<${Fetched} fetched=${fetched} what="The origins">
            ${origins && html`<${Table} caption="Origins that something is the matter with" rows=${origins} hidden=${true}
              keyOf=${(row) => row.origin} columns=${columns}
              empty="All origins are served: none is left alone, none is drained." />`}
          <//>`
    }
    ${asked?.drain !== undefined && html`<${Drain} origin=${asked.drain} done=${done} close=${close} />`}
    ${asked?.resume && html`<${Resume} origin=${asked.resume} done=${done} close=${close} />`}
  </section>`;
}

function Begin({ title, origin, begin }) {
  return html`<button type="button" onClick=${begin}>${title}<span class="unseen"> ${origin}</span></button>`;
}

function Drain({ origin, done, close }) {
  const act = (form) =>
    ask("admin/origins/drain", {
      method: "POST",
      body: { origin: form.get("origin").trim(), minutes: Number(form.get("minutes")) },
    });
  return html`<${Dialog} title="Drain an origin?" action="Drain it" act=${act} done=${done} close=${close}>
    <p>From the next second on nothing new is sent to any Subscription there, until the time is over or it is resumed. What is under way ends.
      Events are numbered and kept, and none is lost.</p>
    <div class="fields">
      <div class="wide"><label for="origin">Origin</label>
        <input id="origin" name="origin" required defaultValue=${origin} placeholder="https://ward.example:443" spellcheck="false" /></div>
      <div><label for="minutes">For so many minutes</label>
        <input id="minutes" name="minutes" type="number" min="1" required defaultValue="60" /></div>
    </div>
  <//>`;
}

function Resume({ origin, done, close }) {
  const act = () => ask("admin/origins/resume", { method: "POST", body: { origin } });
  return html`<${Dialog} title="Resume it?" action="Resume" act=${act} done=${done} close=${close}>
    <p>All that waits for the Subscriptions at <code>${origin}</code> is sent now, in order.</p>
  <//>`;
}
