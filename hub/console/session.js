// The key that the hub is asked with. It lives as long as the tab does.
const PLACE = "hub-key";
const listeners = new Set();

// wanted: Whether the hub has asked for a key. refused: Why the last one was not taken; empty for none.
export const session = {
  wanted: false,
  refused: "",

  get key() {
    return sessionStorage.getItem(PLACE) ?? "";
  },

  enter(key) {
    sessionStorage.setItem(PLACE, key);
    tell({ wanted: false, refused: "" });
  },

  leave() {
    sessionStorage.removeItem(PLACE);
    tell({ wanted: true, refused: "" });
  },

  // The hub said 401 to a request with `key`, empty for none. Requests go side by side: only the first answer counts, and
  // none that is about an earlier key.
  ask(why, key) {
    if (session.wanted || key !== session.key) return;
    sessionStorage.removeItem(PLACE);
    tell({ wanted: true, refused: key ? why : "" });
  },

  heard(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function tell(changed) {
  Object.assign(session, changed);
  for (const listener of listeners) listener();
}
