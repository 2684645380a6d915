// All Subscriptions in error at once: their endpoints are asked anew, and what they missed is sent.
import { html, useRef, useState } from "../html.js";
import { notice } from "../notices.js";
import { Dialog } from "../parts/dialog.js";
import { beginning } from "../parts/paging.js";
import { ask } from "../request.js";
import { count, several } from "../words.js";

const AT_ONCE = 8;
// Between two looks whether an endpoint has accepted, and for how long it is looked at most (ms).
const LOOK = 1000;
const LONGEST = 120_000;
const PAGE = 500;

// query: By which they are found. total: How many they are; while they are resumed they become fewer.
export function ResumeAll({ query, total, again }) {
  const [asked, set] = useState(0);
  const close = () => set(0);
  const done = ({ text, kind }) => {
    close();
    notice(text, kind);
    again();
  };
  return html`
    ${total > 0 && html`<p><button type="button" class="main" onClick=${() => set(total)}>Resume all ${count(total)}…</button></p>`}
    ${asked > 0 && html`<${Asked} query=${query} total=${asked} done=${done} close=${close} />`}
  `;
}

function Asked({ query, total, done, close }) {
  const [made, make] = useState(null);
  const left = useRef(false);
  const leave = () => {
    left.current = true;
    close();
  };
  const act = async (form) => {
    const resend = form.get("resend") === "on";
    const rows = await found(query);
    const came = { rows: rows.length, active: 0, missed: 0, sent: 0, failed: [] };
    const each = async () => {
      while (rows.length && !left.current) {
        await one(rows.shift(), resend, came, left);
        make({ answered: came.active + came.failed.length, of: came.rows });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, each));
    return said(came);
  };
  const which = total === 1 ? "The Subscription's endpoint is" : `The endpoints of ${several(total, "Subscription")} are`;
  return html`<${Dialog} title=${total === 1 ? "Resume it?" : `Resume all ${count(total)}?`} action="Resume" act=${act}
    done=${done} close=${leave}>
    <p>${which} asked by a handshake. Whoever accepts is active, and new events are sent; whoever doesn't stays in error.</p>
    <label class="check"><input type="checkbox" name="resend" defaultChecked />Send what each has missed, as far as it is
      kept</label>
    ${made && html`<p role="status">${count(made.answered)} of ${count(made.of)} have answered.</p>`}
  <//>`;
}

// All that are found, page by page.
async function found(query) {
  const rows = [];
  let page = "";
  do {
    const asked = new URLSearchParams({ ...query, count: PAGE, ...(page && { page }) });
    const told = await ask(`admin/subscriptions?${asked}`);
    rows.push(...told.subscriptions);
    page = beginning(told.next, "page");
  } while (page);
  return rows;
}

async function one(row, resend, came, left) {
  const path = `admin/subscriptions/${row.version}/${encodeURIComponent(row.id)}`;
  try {
    if ((await ask(`${path}?timeline=false`)).status !== "error") {
      came.rows--; // what was read of it was some seconds old
      return;
    }
    await ask(`${path}/resume`, { method: "POST" });
    const { status, error, missed } = await answered(path, left);
    if (status !== "active") {
      came.failed.push(`${row.id}: ${error || status}`);
      return;
    }
    came.active++;
    if (!resend) return;
    for (const { first, last } of missed) {
      const sent = await resent(path, first, last);
      came.missed += last - first + 1;
      came.sent += sent; // others add meanwhile
    }
  } catch (failure) {
    came.failed.push(`${row.id}: ${failure.message}`);
  }
}

// How many of a range that was missed are sent: those that are kept.
async function resent(path, first, last) {
  try {
    const told = await ask(`${path}/redeliver`, { method: "POST", body: { from: first, to: last } });
    return told.first === null ? last - first + 1 : told.last - told.first + 1;
  } catch (failure) {
    if (failure.status === 410) return 0;
    throw failure;
  }
}

// How it stands when its endpoint has answered, or after a while.
async function answered(path, left) {
  for (let waited = 0; ; waited += LOOK) {
    const told = await ask(`${path}?timeline=false`);
    if (told.status !== "requested" || waited >= LONGEST || left.current) return told;
    await new Promise((go) => setTimeout(go, LOOK));
  }
}

function said({ rows, active, missed, sent, failed }) {
  const first = failed.length ? ` ${several(failed.length, "Subscription")} did not come back, as ${failed[0]}.` : "";
  const resent = sent ? `, and ${several(sent, "event")} that they missed are sent` : "";
  const gone = missed > sent ? `, ${count(missed - sent)} are not kept any more` : "";
  return {
    text: `${count(active)} of ${several(rows, "Subscription")} ${active === 1 ? "is" : "are"} active${resent}${gone}.${first}`,
    kind: failed.length ? "middling" : "good",
  };
}
