// What an operator does with a Subscription; each asks first, and says what will happen.
import { html, useState } from "../html.js";
import { notice } from "../notices.js";
import { Coded } from "../parts/coded.js";
import { Dialog } from "../parts/dialog.js";
import { ask } from "../request.js";
import { count, several } from "../words.js";

export function Actions({ path, of, again }) {
  const [action, begin] = useState(null);
  const [secret, show] = useState(null);
  const close = () => begin(null);
  const done = (told) => {
    close();
    if (told.secret) show(told);
    else notice(told.text);
    again();
  };
  const post = (name, body) => ask(`${path}/${name}`, { method: "POST", body });
  const Asked = action && DIALOGS[action];
  const stopped = of.status === "error" || of.status === "off";
  return html`
    <div class="actions" role="group" aria-label="Actions">
      ${stopped && html`<button type="button" class="main" onClick=${() => begin("resume")}>Resume…</button>`}
      <button type="button" onClick=${() => begin("test")}>Send a test…</button>
      <button type="button" disabled=${!of.events} onClick=${() => begin("resend")}>Resend events…</button>
      <button type="button" onClick=${() => begin("rotate")}>Rotate the secret…</button>
      ${of.status !== "off" && html`<button type="button" onClick=${() => begin("off")}>Switch off…</button>`}
    </div>
    ${Asked && html`<${Asked} of=${of} post=${post} done=${done} close=${close} />`}
    ${secret && html`<${Secret} told=${secret} close=${() => show(null)} />`}
  `;
}

function Test({ of, post, done, close }) {
  return html`<${Dialog} title="Send a test notification?" action="Send it" act=${() => post("test")} done=${done} close=${close}>
    <p>A notification without events goes to ${of.origin || "its endpoint"} as soon as what is on its way is done. It is
      signed like any other, and takes no number. ${of.failing && "What waits to be tried again is sent before it, at once. "}
      ${"The attempts below show what came of it."}${
        of.status !== "active" && html` <strong>Its status is ${of.status}: resume it first.</strong>`
      }</p>
  <//>`;
}

function Resend({ of, post, done, close }) {
  const kept = of.undelivered && of.status !== "active";
  const from = kept ? of.delivered + 1 : (of.missed[0]?.first ?? Math.max(of.events - of.undelivered, 1));
  const until = kept ? of.events : (of.missed.at(-1)?.last ?? of.events);
  const act = (form) => post("redeliver", { from: Number(form.get("from")), to: Number(form.get("to")) });
  return html`<${Dialog} title="Resend events?" action="Resend them" act=${act} done=${done} close=${close}>
    <p>Events that the hub still keeps are sent once more, with the numbers that they have, before anything new. A
      subscriber knows by the number what it already has.${
        of.status !== "active" && html` <strong>Its status is ${of.status}: resume it first.</strong>`
      }</p>
    <div class="fields">
      <div><label for="from">From event</label>
        <input id="from" name="from" type="number" min="1" max=${of.events} defaultValue=${from} required /></div>
      <div><label for="to">To event</label>
        <input id="to" name="to" type="number" min="1" max=${of.events} defaultValue=${until} required /></div>
    </div>
    <p class="hint">Numbered so far: 1 to ${count(of.events)}.</p>
  <//>`;
}

function Resume({ of, post, done, close }) {
  const waiting = `${several(of.undelivered, "event")} that ${of.undelivered === 1 ? "waits is" : "wait are"}`;
  const kept = of.undelivered ? ` ${waiting} then skipped: kept for a while, and can be resent.` : "";
  return html`<${Dialog} title="Resume it?" action="Resume" act=${() => post("resume")} done=${done} close=${close}>
    <p>The endpoint at ${of.origin || "its origin"} is asked by a handshake. If it accepts, the Subscription is active and
      new events are sent; if not, it goes back to error.${kept}</p>
  <//>`;
}

function Off({ of, post, done, close }) {
  return html`<${Dialog} title="Switch it off?" action="Switch off" fatal act=${() => post("off")} done=${done} close=${close}>
    <p>From this moment nothing is sent to ${of.origin || "its endpoint"}, and changes that happen get no number: they
      can't be resent afterwards. Its owner is told. It can be resumed.</p>
  <//>`;
}

function Rotate({ post, done, close }) {
  return html`<${Dialog} title="Rotate its secret?" action="Make a new secret" act=${() => post("rotate-secret")} done=${done}
    close=${close}>
    <p>The hub makes a new secret to sign with, and shows it this once: give it to the subscriber. The one before signs
      beside it for a day, so that nothing is turned away meanwhile.</p>
  <//>`;
}

function Secret({ told, close }) {
  const copy = async () => {
    await navigator.clipboard.writeText(told.secret);
    notice("The secret is in the clipboard.");
  };
  return html`<${Dialog} title="The new secret" close=${close}>
    <p><${Coded} text=${told.text} /></p>
    <p><code>${told.secret}</code></p>
    ${navigator.clipboard && html`<button type="button" onClick=${copy}>Copy it</button>`}
  <//>`;
}

const DIALOGS = { test: Test, resend: Resend, resume: Resume, off: Off, rotate: Rotate };
