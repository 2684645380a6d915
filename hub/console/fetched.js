// What a view reads of the hub: at once, then every so often while somebody looks, and when something has changed.
import { useEffect, useRef, useState } from "./html.js";
import { live } from "./live.js";
import { ask } from "./request.js";

const NOTHING = { told: null, failure: null, asking: true };

// told: The last answer, also while the next one is asked for or has failed. again: Asks now.
// path: null for nothing to ask. seconds: 0 to ask once.
export function useFetched(path, seconds = 5) {
  const [held, hold] = useState(NOTHING);
  const asks = useRef(() => {});

  useEffect(() => {
    if (path === null) return undefined;
    let timer = 0;
    let aborter = null;

    async function once() {
      clearTimeout(timer);
      aborter?.abort();
      aborter = new AbortController();
      const own = aborter;
      try {
        const told = await ask(path, { signal: own.signal });
        if (own === aborter) hold({ told, failure: null, asking: false });
      } catch (failure) {
        if (failure.name === "AbortError" || own !== aborter) return;
        hold((before) => ({ told: before.told, failure, asking: false }));
        if (failure.status === 404 || failure.status === 403 || failure.status === 400) return;
      }
      if (seconds) timer = setTimeout(look, seconds * 1000);
    }
    const look = () => {
      if (document.hidden) timer = setTimeout(look, 1000);
      else once();
    };

    hold((before) => ({ ...before, asking: true }));
    asks.current = once;
    once();
    const unheard = seconds ? live.on("changed", once) : () => {};
    return () => {
      clearTimeout(timer);
      aborter?.abort();
      aborter = null;
      asks.current = () => {}; // nobody looks any more, whoever asks late
      unheard();
    };
  }, [path, seconds]);

  return { ...held, again: () => asks.current() };
}
