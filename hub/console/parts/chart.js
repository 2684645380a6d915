// A chart over time, whose numbers are in its legend and, for whoever asks, in a table.
import { now } from "../clock.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { onTheme, theme } from "../theme.js";
import uPlot from "../vendor/uplot.js";
import { NONE } from "../words.js";
import { Table } from "./table.js";

const HEIGHT = 190;
const IN_TABLE = 30;
// Seconds that a chart shows at least.
const SHORTEST = 120;
const DASHES = [[], [6, 4], [2, 3]];
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// series: {name, title, colour: the name of a custom property}. points: {at, [name]: number or null}, oldest first.
// write(number): With its unit.
export function Chart({ title, about, series, points, write }) {
  const place = useRef(null);
  const chart = useRef(null);
  const [pointed, point] = useState(null);
  const [colours, recolour] = useState(theme);
  const [table, show] = useState(false);
  const data = useMemo(() => columns(series, points), [points]);
  useEffect(() => onTheme(recolour), []);

  useEffect(() => {
    const around = place.current;
    const made = new uPlot(options(around, series, write, point), data, around);
    chart.current = made;
    const sized = new ResizeObserver(() => {
      if (around.clientWidth && around.clientWidth !== made.width) made.setSize({ width: around.clientWidth, height: HEIGHT });
    });
    sized.observe(around);
    return () => {
      sized.disconnect();
      made.destroy();
    };
  }, [colours]);
  useEffect(() => chart.current.setData(data), [data]);

  const told = points[pointed ?? points.length - 1];
  const when = pointed === null || !told ? "now" : CLOCK.format(new Date(told.at));
  const shows = table ? "Hide the table" : "Show as a table";
  return html`<figure class="chart">
    <figcaption>
      <span class="title">${title}</span>
      <span class="about">${about}</span>
    </figcaption>
    <ul class="legend">
      ${series.map(
        (each, number) => html`<li key=${each.name}>
        <svg viewBox="0 0 24 6" aria-hidden="true" class=${each.colour}>
          <line x1="0" x2="24" y1="3" y2="3" stroke-dasharray=${DASHES[number].join(" ")} />
        </svg>
        <span> ${each.title} </span><b>${value(told?.[each.name], write)}</b>
      </li>`,
      )}
      <li class="when">${when}</li>
    </ul>
    <div class="plot" ref=${place} aria-hidden="true"></div>
    <button type="button" class="plain" aria-expanded=${table} aria-label=${`${shows}: ${title}`}
      onClick=${() => show(!table)}>${shows}</button>
    ${
      table &&
      html`<${Table} caption=${`${title}, the latest first`} keyOf=${(row) => row.at} rows=${latest(points)}
      empty="There are no figures yet." columns=${[
        { name: "at", title: "Time", cell: (row) => CLOCK.format(new Date(row.at)) },
        ...series.map(({ name, title }) => ({ name, title, number: true, cell: (row) => value(row[name], write) })),
      ]} />`
    }
  </figure>`;
}

function columns(series, points) {
  const times = points.map((each) => Date.parse(each.at) / 1000);
  return [times, ...series.map(({ name }) => points.map((each) => each[name] ?? null))];
}

// As many as one reads, spread over all of them.
function latest(points) {
  const step = Math.max(Math.floor(points.length / IN_TABLE), 1);
  return points.filter((_, number) => (points.length - 1 - number) % step === 0).reverse();
}

function value(number, write) {
  return number === null || number === undefined ? NONE : write(number);
}

function options(place, series, write, point) {
  const style = getComputedStyle(place);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour("muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(place.clientWidth, 100),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { range: times }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.15 : 1] } },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, times) => times.map((each) => clock(each)) },
      { ...axis, size: 58, space: 34, values: (_, numbers) => numbers.map((each) => write(each)) },
    ],
    series: [
      {},
      ...series.map((each, number) => ({
        stroke: colour(each.colour),
        width: 2,
        dash: DASHES[number],
        points: { show: true, size: 5, filter: alone },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(made) => point(made.cursor.idx ?? null)] },
  };
}

// From when to when, of the first and the last point; null for none.
function times(_, first, last) {
  const end = last ?? now() / 1000;
  return [Math.min(first ?? end, end - SHORTEST), end];
}

// The points that no line leads to or from.
function alone(made, series) {
  const numbers = made.data[series];
  const there = (index) => numbers[index] !== null && numbers[index] !== undefined;
  return numbers.map((_, index) => index).filter((index) => there(index) && !there(index - 1) && !there(index + 1));
}

function clock(seconds) {
  return CLOCK.format(new Date(seconds * 1000)).replace(/:00$/, "");
}
