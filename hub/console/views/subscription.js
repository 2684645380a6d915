// One Subscription: how it stands in a sentence, what can be done, its states, and what happened.
import { useFetched } from "../fetched.js";
import { html } from "../html.js";
import { Attempts, sent } from "../parts/attempts.js";
import { Fetched } from "../parts/failed.js";
import { Json } from "../parts/json.js";
import { Machine } from "../parts/machine.js";
import { State } from "../parts/state.js";
import { Ago, Moment } from "../parts/time.js";
import { to } from "../route.js";
import { NONE, ago, count, numbered, several } from "../words.js";
import { Actions } from "./actions.js";
import { Events } from "./events.js";

export function Subscription({ version, id }) {
  const path = `admin/subscriptions/${version}/${encodeURIComponent(id)}`;
  const fetched = useFetched(`${path}?timeline=false`, 5);
  const attempts = useFetched(`${path}/attempts`, 3);
  const { told } = fetched;
  // The audit is looked through for it: only when something has become of the Subscription.
  const timeline = useFetched(told && `${path}#${told.updated}`, 0);
  // What was asked for is done at once, or within a second.
  const again = () => {
    for (const wait of [0, 1000, 2500]) {
      setTimeout(() => {
        fetched.again();
        attempts.again();
        timeline.again();
      }, wait);
    }
  };
  return html`
    <p><a href=${to(["subscriptions"])}>All Subscriptions</a></p>
    ${!told && html`<h1>${id}</h1>`}
    <${Fetched} fetched=${fetched} what="The Subscription">
      ${
        told &&
        html`
        <section aria-labelledby="subscription">
          <div class="heading">
            <h1 id="subscription">${told.id}</h1>
            <${State} status=${told.status} />
          </div>
          <p class="lead">${standing(told)}</p>
          <${Actions} path=${path} of=${told} again=${again} />
        </section>
        <div class="beside">
          <section aria-labelledby="states"><h2 id="states">Status</h2>
            <${Machine} status=${told.status} id=${told.id} />
            ${told.updated && html`<p class="aside">${told.status} since <${Moment} at=${told.updated} />.</p>`}
            <h3>Timeline</h3>
            <${Fetched} fetched=${timeline} what="The timeline">
              ${timeline.told && html`<${Timeline} of=${timeline.told.timeline} />`}
            <//>
          </section>
          <section aria-labelledby="facts"><h2 id="facts">What it asks for, and what it got</h2>
            <${Facts} of=${told} />
          </section>
        </div>
        <section aria-labelledby="attempts"><h2 id="attempts">Last attempts</h2>
          <${Fetched} fetched=${attempts} what="The attempts">
            ${
              attempts.told &&
              html`<${Attempts} rows=${attempts.told.attempts.slice(0, 50)} hidden=${true}
              caption=${`Attempts at ${id}, the latest first`} />`
            }
          <//>
        </section>
        <${Events} path=${path} version=${version} id=${id} events=${told.events} />
        <section><details><summary>The resource</summary>
          ${
            told.resource
              ? html`<${Json} of=${told.resource} />`
              : html`<p>Its headers are sealed by a key that the hub does not have.</p>`
          }
        </details></section>`
      }
    <//>
  `;
}

// What stands, in words.
function standing(of) {
  const waits = of.undelivered;
  const oldest = of.oldestAt ? ` The oldest happened ${ago(of.oldestAt)}.` : "";
  const next = of.nextAt ? ` The next attempt is ${ago(of.nextAt)}.` : "";
  switch (of.status) {
    case "active":
      if (of.failing) {
        return `${several(waits, "event")} ${waits === 1 ? "waits" : "wait"}, since attempts fail: ${of.error || of.outcome}.${oldest}${next} Once the endpoint is mended, a test has them sent at once.`;
      }
      if (waits) return `${several(waits, "event")} ${waits === 1 ? "is" : "are"} on the way.${oldest}${missed(of)}`;
      return of.missed.length ? `It is told of what happens now.${missed(of)}` : "All its events are delivered.";
    case "requested":
      return `Its endpoint is being asked by a handshake.${of.error ? ` ${of.error}.` : ""}${next}`;
    case "error":
      return [
        `The hub has given up: ${of.error || "the reason is not known"}.`,
        `${several(waits, "event")} ${waits === 1 ? "is" : "are"} kept and not sent; more are numbered and kept.`,
        "Mend that, resume it, and resend what it missed.",
      ].join(" ");
    default:
      return `It is off${of.error ? `: ${of.error}` : ""}. Nothing is numbered or sent until it is resumed.`;
  }
}

// What was skipped, until it is resent.
function missed(of) {
  return of.missed.length ? ` It has missed ${ranges(of.missed)}: resend what it needs of that.` : "";
}

function ranges(of) {
  return of.map((each) => numbered(each.first, each.last)).join(", ");
}

function Facts({ of }) {
  const facts = [
    ["Topic", of.topic || NONE],
    ["Endpoint's origin", of.origin || NONE],
    ["Told", of.content || NONE],
    ["Owner", of.owner || "not known"],
    ["FHIR version", of.version.toUpperCase()],
    ["Events numbered", count(of.events)],
    ["Needs no sending up to", count(of.delivered)],
    ["Waiting or kept", count(of.undelivered)],
    ["Dropped", count(of.dropped)],
    ["Skipped ever", count(of.skipped)],
    ["Skipped, and not resent", ranges(of.missed) || "nothing"],
    ["Failures of what is sent now", count(of.attempt)],
    ["Next attempt", html`<${Ago} at=${of.nextAt} />`],
    ["Last outcome", html`${of.outcome || "nothing was sent yet"} ${of.outcomeAt && html`<${Ago} at=${of.outcomeAt} />`}`],
    ["On its way", of.sending ? sent(of.sending) : "nothing"],
    ["To be sent once more", ranges(of.resend) || "nothing"],
  ];
  return html`<dl class="facts">
    ${facts.map(([title, value], number) => html`<div key=${title} class=${number ? "" : "wide"}><dt>${title}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function Timeline({ of }) {
  if (!of.length) return html`<p class="nothing">The audit says nothing of it.</p>`;
  return html`<ol class="timeline">
    ${of.map(
      (each, number) => html`<li key=${`${each.at} ${of.length - number}`}>
      <${Moment} at=${each.at} />
      <div>
        <b>${each.what.replaceAll("-", " ")}</b>${each.by && ` by ${each.by}`}
        ${each.text && html`<div class="small">${each.text}</div>`}
      </div>
    </li>`,
    )}
  </ol>`;
}
