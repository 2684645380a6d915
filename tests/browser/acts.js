// Put into the console's page, to time what its operator does: from the press until what was asked for is painted; in ms.
window.acted = async (name) => {
  const all = (selector) => document.querySelectorAll(selector);
  const one = (selector) => document.querySelector(selector);
  const busy = () => all('[aria-busy="true"], .waiting').length > 0;
  const rows = () => all("main tbody tr").length;
  const chosen = (id, value) => {
    one(`#by-${id}`).value = value;
    one(`#by-${id}`).dispatchEvent(new Event("change", { bubbles: true }));
  };
  const found = (count) => one(".heading [role=status]").textContent === `${count} Subscriptions found` && !busy();
  // A Subscription that nothing has concerned yet says so, and that is what was asked for.
  const shown = (part) => one(`[aria-labelledby=${part}] :is(table, .nothing)`);
  const first = () => one("main tbody a")?.textContent;
  const before = first();
  const acts = {
    list: [() => one('header a[href="#/subscriptions"]').click(), () => one("#subscriptions") && rows() === 50 && !busy()],
    filter: [() => chosen("status", "error"), () => found(20)],
    all: [() => chosen("status", ""), () => found("2,020")],
    sort: [() => chosen("sort", "updated"), () => first() !== before && !busy()],
    page: [() => [...all(".paging a")].at(-1).click(), () => first() !== before && !busy()],
    detail: [
      () => one("main tbody a").click(),
      () => one("#subscription") && ["attempts", "events"].every(shown) && !busy(),
    ],
    trace: [() => one('main a[href*="/events/"]').click(), () => one("#event") && one("ol.steps") && !busy()],
    overview: [() => one('header a[href="#/"]').click(), () => one(".standing h1") && !busy()],
    topics: [() => one('header a[href="#/topics"]').click(), () => all(".catalogue li").length > 0 && !busy()],
  };
  const [act, done] = acts[name];
  const began = performance.now();
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name}: nothing came; ${one("main").innerText.slice(0, 200)}`)), 20000);
    const watching = new MutationObserver(check);
    function check() {
      if (!done()) return;
      watching.disconnect();
      clearTimeout(late);
      resolve();
    }
    watching.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    act();
    check();
  });
  await new Promise((painted) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = painted;
      port2.postMessage(0);
    });
  });
  return performance.now() - began;
};
