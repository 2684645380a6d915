// What every view is written with.
import { Fragment, h, options, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export { Fragment, render };

export const html = htm.bind(h);

// However many updates come, a frame shows them at once.
options.debounceRendering = (update) => requestAnimationFrame(update);
