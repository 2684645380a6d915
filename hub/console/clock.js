// The hub's clock, which need not be this machine's: what lasted is told by the hub's alone.

// What two clocks may differ by (ms) and still be called the same: the hub tells whole seconds, and is some way off.
const SAME = 5000;

let ahead = 0;

// date: Of an answer, as HTTP has it; null for none.
export function heard(date) {
  const told = Date.parse(date ?? "");
  if (Number.isNaN(told)) return;
  const found = told - Date.now();
  ahead = Math.abs(found) < SAME ? 0 : found;
}

// ms since 1970.
export function now() {
  return Date.now() + ahead;
}
