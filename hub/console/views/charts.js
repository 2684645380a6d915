// How it went: rates, how long events took, how far matching is behind.
import { useFetched } from "../fetched.js";
import { html, useState } from "../html.js";
import { useFigures } from "../live.js";
import { Chart } from "../parts/chart.js";
import { count, lasting, ms, rate } from "../words.js";

const SPANS = [
  ["2 minutes", 0],
  ["1 hour", 60],
  ["6 hours", 360],
];

// whole: Whether what only the whole hub has is shown too.
export function Charts({ whole }) {
  const [minutes, choose] = useState(60);
  const history = useFetched(minutes ? `admin/history?minutes=${minutes}` : null, 10);
  const figures = useFigures();
  const points = minutes ? (history.told?.points ?? []) : figures;
  return html`<section aria-labelledby="charts">
    <div class="heading">
      <h2 id="charts">How it went</h2>
      <div class="segments" role="group" aria-label="Of the charts, the last">
        ${SPANS.map(
          ([title, each]) => html`<button key=${each} type="button" aria-pressed=${each === minutes}
          onClick=${() => choose(each)}>${title}</button>`,
        )}
      </div>
    </div>
    ${history.failure && minutes > 0 && html`<p class="failure" role="alert">${history.failure.message}</p>`}
    <div class="charts">
      <${Chart} title="In and out" about="a second" points=${points} write=${rate} series=${[
        { name: "stored", title: "changes in", colour: "series-1" },
        { name: "delivered", title: "events out", colour: "series-2" },
        { name: "failed", title: "failed attempts", colour: "series-3" },
      ]} />
      <${Chart} title="From change to delivery" about="of events delivered at their first attempt or later" points=${points}
        write=${ms} series=${[
          { name: "p50", title: "half within", colour: "series-1" },
          { name: "p95", title: "95 %", colour: "series-2" },
          { name: "p99", title: "99 %", colour: "series-3" },
        ]} />
      ${
        whole &&
        html`
        <${Chart} title="Matching is behind" about="age of the oldest change that is not matched" points=${points}
          write=${lasting} series=${[{ name: "behindSeconds", title: "behind", colour: "series-1" }]} />
        <${Chart} title="Changes to match" about="that wait" points=${points} write=${count}
          series=${[{ name: "unmatched", title: "changes", colour: "series-1" }]} />`
      }
    </div>
  </section>`;
}
