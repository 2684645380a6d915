// Would a change concern a Subscription, and why not? Nothing is stored or sent.
import { html, useState } from "../html.js";
import { Clauses } from "../parts/clauses.js";
import { parsed } from "../parts/json.js";
import { useSuggestions } from "../parts/suggestions.js";
import { ask } from "../request.js";

export function Explain({ query }) {
  const [version, choose] = useState(query.get("version") ?? "r4");
  const [pasted, paste] = useState(false);
  const [held, hold] = useState(false);
  const [answer, told] = useState(null);
  const [failure, fail] = useState("");
  const [busy, be] = useState(false);
  const [suggestions, suggest] = useSuggestions(version);

  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    be(true);
    fail("");
    try {
      told(await ask("admin/explain", { method: "POST", body: asked(form, version, pasted, held && !pasted) }));
    } catch (error) {
      told(null);
      fail(error.message);
    }
    be(false);
  };
  return html`<section aria-labelledby="explain">
    <h1 id="explain">Explain</h1>
    <p class="aside">Give a resource and a Subscription: the hub says clause by clause whether a change to it would be told.
      Nothing is stored, and nothing is sent.</p>
    <form onSubmit=${submit}>
      <div class="fields">
        <div><label for="version">FHIR version</label>
          <select id="version" value=${version} onChange=${(event) => choose(event.target.value)}>
            <option value="r4">R4</option><option value="r4b">R4B</option><option value="r5">R5</option>
          </select></div>
        <div><label for="interaction">The change is a</label>
          <select id="interaction" name="interaction"><option value="">create or update</option>
            <option value="create">create</option><option value="update">update</option><option value="delete">delete</option>
          </select></div>
      </div>
      <fieldset><legend>Subscription</legend>
        <${Either} name="subscription-by" one="One that is registered" other="Paste one" is=${pasted} choose=${paste} />
        ${
          pasted
            ? html`<label for="subscription">Subscription, as JSON</label>
            <textarea id="subscription" name="subscription" rows="10" required spellcheck="false"></textarea>`
            : html`<label for="registered">Its id</label>
            <input id="registered" name="registered" list="suggestions" required autocomplete="off" spellcheck="false"
              defaultValue=${query.get("subscription") ?? ""} onInput=${(event) => suggest(event.target.value)} />
            <datalist id="suggestions">
              ${suggestions.map((each) => html`<option key=${each.id} value=${each.id}>${each.status}</option>`)}
            </datalist>`
        }
      </fieldset>
      <fieldset><legend>Resource</legend>
        ${!pasted && html`<${Either} name="resource-by" one="Paste one" other="One that the hub holds" is=${held} choose=${hold} />`}
        ${
          held && !pasted
            ? html`<label for="reference">Its reference</label>
            <input id="reference" name="reference" required placeholder="Immunization/17/_history/2" spellcheck="false" />`
            : html`<label for="resource">Resource, as JSON</label>
            <textarea id="resource" name="resource" rows="10" required spellcheck="false"></textarea>
            <details><summary>It was something else before</summary>
              <label for="previous">The previous version, as JSON</label>
              <textarea id="previous" name="previous" rows="6" spellcheck="false"></textarea>
            </details>`
        }
      </fieldset>
      <button type="submit" class="main" disabled=${busy}>${busy ? "Working…" : "Explain"}</button>
    </form>
    <div role="status" class="explained">
      ${failure && html`<p class="failure">${failure}</p>`}
      ${answer && html`<${Answer} of=${answer} />`}
    </div>
  </section>`;
}

function Either({ name, one, other, is, choose }) {
  return html`<div class="actions">
    <label class="check"><input type="radio" name=${name} checked=${!is} onChange=${() => choose(false)} />${one}</label>
    <label class="check"><input type="radio" name=${name} checked=${is} onChange=${() => choose(true)} />${other}</label>
  </div>`;
}

function Answer({ of }) {
  const kind = of.matched === true ? "yes" : of.matched === false ? "no" : "";
  const text = { yes: "It would be told.", no: "It would not be told." }[kind] ?? "It can't be said.";
  return html`<div class=${`panel answer ${kind}`}><h2>${text}</h2><p>${of.text}</p>
    ${of.remarks.map((each) => html`<p class="aside" key=${each}>${each}</p>`)}<${Clauses} of=${of} /></div>`;
}

function asked(form, version, pasted, held) {
  const body = {
    version,
    subscription: pasted ? parsed(form.get("subscription"), "The Subscription") : form.get("registered").trim(),
  };
  if (held) body.reference = form.get("reference").trim();
  else {
    body.resource = parsed(form.get("resource"), "The resource");
    if (form.get("previous").trim()) body.previous = parsed(form.get("previous"), "The previous version");
  }
  if (form.get("interaction")) body.interaction = form.get("interaction");
  return body;
}
