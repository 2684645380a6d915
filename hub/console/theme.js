// Light or dark: as the system has it, until somebody chooses.
const PLACE = "hub-theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export function theme() {
  return localStorage.getItem(PLACE) ?? (DARK.matches ? "dark" : "light");
}

export function apply() {
  document.documentElement.dataset.theme = theme();
  for (const listener of listeners) listener(theme());
}

export function choose(chosen) {
  localStorage.setItem(PLACE, chosen);
  apply();
}

// Told whenever it changes.
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

DARK.addEventListener("change", apply);
