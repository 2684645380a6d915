// Where one is: the part of the address behind `#`, as segments and a query.
import { useEffect, useState } from "./html.js";

export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(read), query: new URLSearchParams(query) };
}

// A segment; as it is written where it is no UTF-8.
function read(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

// The link to a place; what is empty in the query is left out.
export function to(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

// Go there. `replace`: without a step in the browser's history.
export function go(link, { replace = false } = {}) {
  if (link === location.hash) return;
  if (replace) {
    history.replaceState(null, "", link);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = link;
}

export function useRoute() {
  const [route, set] = useState(here);
  useEffect(() => {
    const changed = () => set(here());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
