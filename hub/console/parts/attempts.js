// What was sent, and what came of it.
import { html } from "../html.js";
import { bytes, count, ms, numbered } from "../words.js";
import { Table } from "./table.js";
import { Moment } from "./time.js";

const DECISIONS = {
  delivered: ["good", "delivered"],
  active: ["good", "now active"],
  again: ["middling", "tried again"],
  error: ["bad", "given up: error"],
  off: ["bad", "turned off"],
};

export function Attempts({ rows, caption, hidden }) {
  return html`<${Table} caption=${caption} hidden=${hidden} rows=${rows} columns=${COLUMNS}
    keyOf=${(row) => `${row.at} ${row.kind} ${row.attempt}`} empty="Nothing was sent yet." />`;
}

export function sent({ kind, firstEvent, lastEvent }) {
  if (firstEvent === null) return kind;
  const which = numbered(firstEvent, lastEvent);
  return kind === "resend" ? `${which}, once more` : which;
}

const COLUMNS = [
  { name: "at", title: "When", cell: (row) => html`<span class="one-line"><${Moment} at=${row.at} /></span>` },
  { name: "sent", title: "What", cell: sent },
  { name: "attempt", title: "Attempt", number: true, cell: (row) => count(row.attempt) },
  {
    name: "decision",
    title: "Then",
    cell: (row) => html`<span class=${`word ${DECISIONS[row.decision]?.[0] ?? ""}`}>
    ${DECISIONS[row.decision]?.[1] ?? row.decision}</span>`,
  },
  {
    name: "said",
    title: "Why",
    long: true,
    cell: (row) => html`${row.said}${row.answer && html`<div class="small code">${row.answer}</div>`}`,
  },
  { name: "took", title: "Took", number: true, cell: (row) => ms(row.milliseconds) },
  { name: "bytes", title: "Sent", number: true, cell: (row) => (row.bytes ? bytes(row.bytes) : "nothing") },
];
