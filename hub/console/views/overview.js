// What an operator needs first: how the hub stands in a sentence, what is wrong with its remedy, then figures.
import { useFetched } from "../fetched.js";
import { html, useEffect } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { Coded } from "../parts/coded.js";
import { Charts } from "./charts.js";
import { Machinery } from "./machinery.js";
import { Tiles } from "./tiles.js";
import { Worst } from "./worst.js";
import { count, lasting, several } from "../words.js";

export function Overview({ query }) {
  const fetched = useFetched("admin/overview", 5);
  const at = query.get("at");
  const there = Boolean(fetched.told);
  // A problem's button leads to the part of the page that shows it.
  useEffect(() => {
    const part = at && document.getElementById(at);
    if (part) {
      part.tabIndex = -1;
      part.scrollIntoView();
      part.focus({ preventScroll: true });
    }
  }, [at, there]);
  return html`${!fetched.told && html`<h1>Overview</h1>`}
  <${Fetched} fetched=${fetched} what="How the hub stands">
    ${
      fetched.told &&
      html`
      <${Standing} told=${fetched.told} />
      <${Tiles} told=${fetched.told} />
      <${Charts} whole=${Boolean(fetched.told.matching)} />
      <${Worst} told=${fetched.told} />
      <${Machinery} told=${fetched.told} />`
    }
  <//>`;
}

function Standing({ told }) {
  const { problems } = told;
  const errors = problems.filter((each) => each.severity === "error").length;
  const kind = errors ? "bad" : problems.length ? "middling" : "good";
  return html`<section class=${`standing ${kind}`} aria-labelledby="standing">
    <div role="status"><h1 id="standing">${verdict(errors, problems.length)}</h1></div>
    <p class="aside">${sentence(told)}</p>
    ${
      problems.length > 0 &&
      html`<ol class="problems">
      ${problems.map(
        (each, number) => html`<li key=${number} class=${each.severity}>
        <span class="severity">${each.severity === "error" ? "Error" : "Warning"}</span>
        <p><${Coded} text=${each.text} /></p>
        <a class="button" href=${each.link}>${each.action}</a>
      </li>`,
      )}
    </ol>`
    }
  </section>`;
}

function verdict(errors, all) {
  if (errors)
    return `The hub needs you: ${several(errors, "error")}${all > errors ? `, ${several(all - errors, "warning")}` : ""}.`;
  return all ? `The hub works, with ${several(all, "thing")} to look at.` : "All is well.";
}

// The hub in one sentence.
function sentence({ subscriptions, rates, at, release }) {
  const { requested, active, error, off, oldest } = subscriptions;
  const all = requested + active + error + off;
  if (!all) return "Nobody has subscribed yet.";
  const whole = all === 1 ? "The one Subscription is" : `All ${count(all)} Subscriptions are`;
  const part = `${count(active)} of ${several(all, "Subscription")} ${active === 1 ? "is" : "are"}`;
  const waited = oldest && Math.max(Math.round((Date.parse(at) - Date.parse(oldest.at)) / 1000), 0);
  const waits = oldest ? `the oldest event that waits has waited for ${lasting(waited)}` : "no event waits";
  const busy = rates.stored || rates.delivered ? "" : " Nothing has come in lately.";
  return `${all === active ? whole : part} active, and ${waits}.${busy}${release ? ` Release ${release}.` : ""}`;
}
