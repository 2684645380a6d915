// The figures of now, which change each second.
import { html } from "../html.js";
import { useFigures } from "../live.js";
import { to } from "../route.js";
import { ago, count, ms, rate, several } from "../words.js";

// Seconds that are averaged: single ones jump.
const OVER = 5;

const LAGGING = to(["subscriptions"], { lagging: "true" });
const IN_ERROR = to(["subscriptions"], { status: "error" });

export function Tiles({ told }) {
  const figures = useFigures().slice(-OVER);
  const { subscriptions, latency } = told;
  const now = (name) => (figures.length ? mean(figures.map((each) => each[name])) : told.rates[name]);
  const p95 = figures.findLast((each) => each.p95 !== null && each.p95 !== undefined)?.p95 ?? latency.p95;
  const ofAll = `of ${several(all(subscriptions), "Subscription")}`;
  const tiles = [
    ["Changes in", rate(now("stored")), "a second"],
    ["Events out", rate(now("delivered")), "a second"],
    ["Failed attempts", rate(now("failed")), "a second", now("failed") > 0 ? "middling" : ""],
    ["Change to delivery", ms(p95), "for 95 % of the events"],
    ["Events that wait", count(subscriptions.undelivered), oldest(subscriptions), "", LAGGING],
    ["In error", count(subscriptions.error), ofAll, subscriptions.error ? "bad" : "", IN_ERROR],
  ];
  return html`<section aria-label="Figures">
    <dl class="tiles">
      ${tiles.map(
        ([title, value, unit, kind = "", link]) => html`<div key=${title} class=${`tile ${kind}`}>
        <dt>${title}</dt>
        <dd><b>${link ? html`<a href=${link}>${value}</a>` : value}</b> <span>${unit}</span></dd>
      </div>`,
      )}
    </dl>
  </section>`;
}

function mean(numbers) {
  return numbers.reduce((sum, each) => sum + (each ?? 0), 0) / numbers.length;
}

function oldest({ oldest }) {
  return oldest ? `the oldest for ${ago(oldest.at).replace(" ago", "")}` : "for nobody";
}

function all({ requested, active, error, off }) {
  return requested + active + error + off;
}
