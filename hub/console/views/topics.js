// What can be subscribed to, in words of the work that it is for, and who does.
import { useFetched } from "../fetched.js";
import { html } from "../html.js";
import { Fetched } from "../parts/failed.js";
import { usePages } from "../parts/paging.js";
import { go, to } from "../route.js";
import { count, lastPart, several } from "../words.js";

export function Topics({ query }) {
  const fetched = useFetched("admin/topics", 30);
  const sought = query.get("q") ?? "";
  const used = query.get("used") === "true";
  const ask = (changed) => go(to(["topics"], { q: sought, used: used ? "true" : "", ...changed }), { replace: true });
  const topics = (fetched.told?.topics ?? []).filter((each) => (!used || subscribed(each)) && matches(each, sought));
  return html`<section aria-labelledby="topics">
    <div class="heading"><h1 id="topics">Topics</h1>
      <span class="aside" role="status">${fetched.told ? several(topics.length, "topic") : ""}</span></div>
    <form class="fields" role="search" aria-label="Topics" onSubmit=${(event) => event.preventDefault()}>
      <div><label for="sought">Find</label>
        <input id="sought" type="search" value=${sought} placeholder="title, type or URL"
          onInput=${(event) => ask({ q: event.target.value })} /></div>
      <label class="check"><input type="checkbox" checked=${used}
        onChange=${(event) => ask({ used: event.target.checked ? "true" : "" })} />Only those in use</label>
    </form>
    <${Fetched} fetched=${fetched} what="The topics"><${Listed} topics=${topics} key=${`${sought} ${used}`} /><//>
  </section>`;
}

function Listed({ topics }) {
  const [shown, controls] = usePages(topics);
  if (!topics.length) return html`<p class="nothing">No topic is like that.</p>`;
  return html`<ul class="catalogue">
    ${shown.map((each) => html`<li key=${`${each.url}|${each.version ?? ""}`}><${Topic} of=${each} /></li>`)}
  </ul>${controls}`;
}

function Topic({ of }) {
  const all = subscribed(of);
  const standing = STATES.filter((each) => of.subscriptions[each]).map(
    (each) => `${count(of.subscriptions[each])} ${each}`,
  );
  const retired = of.retired ? ", retired: nobody may subscribe any more" : "";
  return html`<h2>${of.title || lastPart(of.url)}</h2>
    <p class="small"><code>${of.url}</code>${of.version && `, version ${of.version}`}, ${of.kind}${retired}</p>
    ${of.description && html`<p>${of.description}</p>`}
    ${of.purpose && html`<p><b>What it is for:</b> ${of.purpose}</p>`}
    <p class="small">On ${of.resourceTypes.join(", ") || "no type"}. ${filters(of)}</p>
    <p>${
      all
        ? html`<a href=${to(["subscriptions"], { topic: of.url })}>${several(all, "Subscription")}</a>: ${standing.join(", ")}`
        : "Nobody has subscribed."
    }</p>`;
}

function filters({ filters }) {
  if (!filters) return "Can be filtered by whatever the hub can evaluate.";
  if (!filters.length) return "Takes no filters.";
  const all = filters.map(
    ({ parameter, description }) => html`<span key=${parameter} title=${description}>${parameter}</span>`,
  );
  return html`Can be filtered by ${all.map((each, number) => html`${number ? ", " : ""}${each}`)}.`;
}

const STATES = ["requested", "active", "error", "off"];

function subscribed({ subscriptions }) {
  return STATES.reduce((sum, each) => sum + (subscriptions[each] ?? 0), 0);
}

function matches({ url, title, description, resourceTypes }, sought) {
  return `${url} ${title} ${description} ${resourceTypes.join(" ")}`.toLowerCase().includes(sought.toLowerCase());
}
