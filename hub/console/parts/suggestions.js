// Subscriptions that somebody may mean who has begun to write.
import { useEffect, useRef, useState } from "../html.js";
import { ask } from "../request.js";

const WAIT = 250;

export function useSuggestions(version) {
  const [found, set] = useState([]);
  const timer = useRef(0);
  const look = (text, wait = WAIT) => {
    clearTimeout(timer.current);
    const query = new URLSearchParams({ version, q: text, sort: "id", count: 20 });
    timer.current = setTimeout(async () => {
      try {
        set((await ask(`admin/subscriptions?${query}`)).subscriptions);
      } catch {
        set([]); // suggestions are no more than help: what is sent says what is wrong
      }
    }, wait);
  };
  useEffect(() => {
    look("", 0);
    return () => clearTimeout(timer.current);
  }, [version]);
  return [found, look];
}
