// The page: where one is, and what is around each view.
import { html, render, useEffect, useRef, useState } from "./html.js";
import { follow } from "./live.js";
import { Notices } from "./notices.js";
import { Entrance } from "./parts/entrance.js";
import { Header } from "./parts/header.js";
import { useRoute } from "./route.js";
import { session } from "./session.js";
import { apply } from "./theme.js";
import { EventTrace } from "./views/event.js";
import { Explain } from "./views/explain.js";
import { Index } from "./views/index.js";
import { Origins } from "./views/origins.js";
import { Overview } from "./views/overview.js";
import { Subscription } from "./views/subscription.js";
import { Subscriptions } from "./views/subscriptions.js";
import { Tail } from "./views/tail.js";
import { Topics } from "./views/topics.js";
import { Withheld } from "./views/withheld.js";

const PLACES = {
  "": ["Overview", Overview],
  subscriptions: ["Subscriptions", Subscriptions],
  explain: ["Explain", Explain],
  topics: ["Topics", Topics],
  origins: ["Origins", Origins],
  withheld: ["Withheld", Withheld],
  index: ["Index", Index],
  tail: ["Live tail", Tail],
};

function viewOf({ path, query }) {
  const [place = "", version, id, events, number] = path;
  if (place === "subscriptions" && id) {
    const key = `${version}/${id}`;
    if (events === "events" && number) {
      const trace = html`<${EventTrace} key=${`${key}/${number}`} version=${version} id=${id} number=${number} />`;
      return [`Event ${number} of ${id}`, trace];
    }
    return [`Subscription ${id}`, html`<${Subscription} key=${key} version=${version} id=${id} query=${query} />`];
  }
  const found = PLACES[place];
  if (!found) return ["Not found", html`<h1>Nothing is here</h1><p><a href="#/">To the overview</a></p>`];
  const [title, View] = found;
  return [title, html`<${View} key=${place} query=${query} />`];
}

function Console() {
  const route = useRoute();
  const [, changed] = useState(0);
  useEffect(() => session.heard(() => changed((times) => times + 1)), []);
  const [title, view] = session.wanted ? ["Sign in", html`<${Entrance} />`] : viewOf(route);
  const main = useRef(null);
  const first = useRef(true);
  const place = route.path.join("/");

  useEffect(() => {
    document.title = `${title} · FHIR event hub`;
  }, [title]);
  // Whoever goes elsewhere by keyboard or screen reader begins there at the top.
  useEffect(() => {
    if (first.current) first.current = false;
    else {
      scrollTo(0, 0);
      main.current.focus({ preventScroll: true });
    }
  }, [place]);

  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Header} places=${PLACES} place=${route.path[0] ?? ""} />
    <main id="main" ref=${main} tabindex="-1">${view}</main>
    <${Notices} />
  `;
}

apply();
follow();
render(html`<${Console} />`, document.getElementById("console"));
