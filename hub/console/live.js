// What the hub tells by itself: figures each second and, for whoever follows them, single steps. The page has one stream.
import { now } from "./clock.js";
import { useEffect, useState } from "./html.js";
import { open } from "./request.js";
import { session } from "./session.js";

// Without a word for so long (ms), what is shown is stale. Waits (ms) before the next try rise to the longest one.
const SILENCE = 5000;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;
const KEPT = 120;

const listeners = { figures: new Set(), step: new Set(), changed: new Set(), state: new Set() };

// state: connecting, live, stale (it was live, and nothing comes), or off (nobody looks). figures: The last two minutes.
export const live = {
  state: "connecting",
  since: now(),
  failure: null,
  figures: [],

  on(kind, listener) {
    listeners[kind].add(listener);
    if (kind === "step" && listeners.step.size === 1) reconnect();
    return () => {
      listeners[kind].delete(listener);
      if (kind === "step" && !listeners.step.size) reconnect();
    };
  },
};

let aborter = null;
let silence = 0;
let retry = 0;
let wait = FIRST_WAIT;
let summary = "";

export function follow() {
  document.addEventListener("visibilitychange", reconnect);
  session.heard(reconnect);
  reconnect();
}

function reconnect() {
  clearTimeout(retry);
  clearTimeout(silence);
  aborter?.abort();
  aborter = null;
  if (session.wanted) return become("off");
  if (document.hidden) return become("off");
  wait = FIRST_WAIT;
  if (live.state === "off") become("connecting");
  return listen();
}

async function listen() {
  const own = new AbortController();
  aborter = own;
  try {
    const response = await open(`admin/live${listeners.step.size ? "?tail=true" : ""}`, { signal: own.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    hear();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) take(block);
    }
    live.failure = null;
  } catch (failure) {
    if (own !== aborter) return;
    live.failure = failure;
  }
  if (own !== aborter) return;
  clearTimeout(silence);
  become("stale");
  retry = setTimeout(listen, wait * (0.8 + 0.4 * Math.random()));
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

function take(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
  hear();
  if (!fields.data) return;
  const told = JSON.parse(fields.data);
  if (fields.event === "figures") {
    wait = FIRST_WAIT;
    live.figures = [...live.figures.slice(1 - KEPT), told];
    tell("figures", told);
    noticed(told.subscriptions);
  } else if (fields.event === "step") tell("step", told);
}

// Who stands how has changed: whoever shows it reads it again. Counts of events change all the time, and wait.
function noticed(subscriptions) {
  if (!subscriptions) return;
  const { requested, active, error, off } = subscriptions;
  const found = `${requested} ${active} ${error} ${off}`;
  if (summary && summary !== found) tell("changed", subscriptions);
  summary = found;
}

function hear() {
  become("live");
  clearTimeout(silence);
  silence = setTimeout(() => become("stale"), SILENCE);
}

function become(state) {
  if (live.state === state) return;
  live.state = state;
  live.since = now();
  tell("state", state);
}

function tell(kind, told) {
  for (const listener of listeners[kind]) listener(told);
}

// How it stands with the stream.
export function useLiveState() {
  const [state, set] = useState(live.state);
  useEffect(() => {
    set(live.state);
    return live.on("state", set);
  }, []);
  return state;
}

// The figures of the last two minutes; drawn anew each second.
export function useFigures() {
  const [figures, set] = useState(live.figures);
  useEffect(() => {
    set(live.figures);
    return live.on("figures", () => set(live.figures));
  }, []);
  return figures;
}
