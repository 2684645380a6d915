// What happens, as it happens: changes, matches and attempts, by their ids alone.
import { html, useEffect, useRef, useState } from "../html.js";
import { live, useLiveState } from "../live.js";
import { to } from "../route.js";
import { count, moment, ms, numbered, several } from "../words.js";

const SHOWN = 200;
// Steps that are drawn in one frame: a burst of them is spread over some, so that the page answers meanwhile.
const AT_ONCE = 40;

export function Tail() {
  const [steps, show] = useState([]);
  const [paused, pause] = useState(false);
  const [sought, seek] = useState("");
  const held = useRef({ came: [], frame: 0, paused: false, number: 0 });
  const state = useLiveState();

  useEffect(() => {
    const own = held.current;
    const draw = () => {
      const came = own.came.splice(0, AT_ONCE);
      own.frame = own.came.length ? requestAnimationFrame(draw) : 0;
      show((before) => [...came, ...before].sort(latest).slice(0, SHOWN));
    };
    const unheard = live.on("step", (step) => {
      if (own.paused) return;
      own.came.push(read(step, ++own.number));
      if (own.came.length > SHOWN) own.came.shift();
      own.frame ||= requestAnimationFrame(draw);
    });
    return () => {
      cancelAnimationFrame(own.frame);
      unheard();
    };
  }, []);

  const toggle = () => {
    held.current.paused = !paused;
    pause(!paused);
  };
  const shown = steps.filter((each) => each.text.includes(sought.toLowerCase()));
  return html`<section aria-labelledby="tail">
    <div class="heading"><h1 id="tail">Live tail</h1>
      <div class="actions">
        <button type="button" aria-pressed=${paused} onClick=${toggle}>${paused ? "Go on" : "Pause"}</button>
        <button type="button" onClick=${() => show([])}>Clear</button>
      </div></div>
    <p class="aside">Each step of changes and notifications, the latest first: ids only, never content. The last
      ${" "}${count(SHOWN)} are shown.</p>
    <div class="fields"><div><label for="sought">Only those with</label>
      <input id="sought" type="search" value=${sought} placeholder="an id, a type, a word"
        onInput=${(event) => seek(event.target.value)} /></div></div>
    ${!shown.length && html`<p class="nothing">${waiting(state, paused, steps.length)}</p>`}
    <div role="log" aria-live="off" aria-label="Steps" tabindex="0"><ol class="tail">
      ${shown.map((each) => each.row)}
    </ol></div>
  </section>`;
}

function waiting(state, paused, steps) {
  if (steps) return "None of the last steps is like that.";
  if (paused) return "Paused.";
  return state === "live" ? "Nothing happens at the moment." : "The stream is not there yet.";
}

// A step as it is sought and shown. Its row is made once: what is the same as before is not drawn again.
function read(step, key) {
  const row = html`<li key=${key}>
    <time datetime=${step.at}>${moment(step.at)}</time><b>${TITLES[step.step] ?? step.step}</b><span>${told(step)}</span>
  </li>`;
  return { at: step.at, key, row, text: JSON.stringify(step).toLowerCase() };
}

// Each process of the hub tells of its steps once a second.
function latest(one, other) {
  return one.at < other.at ? 1 : one.at > other.at ? -1 : other.key - one.key;
}

const TITLES = {
  "change.stored": "Change",
  "change.matched": "Matched",
  "delivery.attempted": "Attempt",
  "left-out": "Left out",
};

// What comes of an attempt, where the log's word is none.
const THEN = { tryagain: "to be tried again", giveup: "given up", turnoff: "turned off" };

// Without the tenant and the version, which all of them have.
function told(step) {
  const resource = step.resource?.split("/").slice(2).join("/");
  switch (step.step) {
    case "change.stored":
      return html`<code>${resource}</code> ${step.interaction}, version ${step.number}
        ${step.publisher && `, by ${step.publisher}`}`;
    case "change.matched":
      return html`<code>${resource}</code> version ${step.number}, for ${several(step.subscriptions, "Subscription")}`;
    case "delivery.attempted": {
      const [, version, id] = step.subscription.split("/");
      const what = step.first_event ? numbered(step.first_event, step.last_event) : step.kind;
      const then = THEN[step.decision] ?? step.decision;
      return html`<a href=${to(["subscriptions", version, id])}>${id}</a> ${what}: ${step.outcome}, ${then}
        ${" "}<span class="small">attempt ${step.attempt}, ${ms(step.milliseconds)}</span>`;
    }
    case "left-out":
      return `${several(step.steps, "step")}: more happened than is told`;
    default:
      return Object.entries(step)
        .filter(([name]) => !["at", "step", "tenant"].includes(name))
        .map(([name, value]) => `${name} ${value}`)
        .join(", ");
  }
}
