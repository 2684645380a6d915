// Numbers, times and states as people read them.
import { now } from "./clock.js";

const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const NONE = "–";

export function count(number) {
  return number === null || number === undefined ? NONE : WHOLE.format(number);
}

// `1 event`, `2 events`.
export function several(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}

export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number && number < 0.01 ? "<0.01" : SHORT.format(number);
}

// Of seconds.
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds && seconds < 0.001) return `${SHORT.format(Math.round(seconds * 1e6))} µs`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${SHORT.format(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// Of ms.
export function ms(number) {
  return number === null || number === undefined ? NONE : lasting(number / 1000);
}

// How long ago an instant was, or how long it is until then.
export function ago(at) {
  if (!at) return NONE;
  const seconds = (now() - Date.parse(at)) / 1000;
  if (seconds < 0) return seconds > -1 ? "now" : `in ${lasting(Math.round(-seconds))}`;
  return seconds < 1 ? "just now" : `${lasting(Math.round(seconds))} ago`;
}

// An instant in this machine's time zone; with the day when it isn't today.
export function moment(at) {
  if (!at) return NONE;
  const then = new Date(at);
  const time = `${CLOCK.format(then)}.${String(then.getMilliseconds()).padStart(3, "0")}`;
  return then.toDateString() === new Date(now()).toDateString() ? time : `${DAY.format(then)} ${time}`;
}

export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  const step = Math.min(Math.floor(Math.log2(Math.max(number, 1)) / 10), 4);
  return `${SHORT.format(number / 1024 ** step)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}`;
}

// `event 7`, `events 7 to 9`.
export function numbered(first, last) {
  return first === last ? `event ${count(first)}` : `events ${count(first)} to ${count(last)}`;
}

// A topic or another URL by its last part, which is what tells it from others.
export function lastPart(url) {
  return url.split("|")[0].split("/").filter(Boolean).pop() ?? url;
}
