// Asks before something is done, and says what will happen.
import { html, useEffect, useRef, useState } from "../html.js";
import { Coded } from "./coded.js";

let headings = 0;

// act(form): Does it; what it resolves to is handed to `done`. fatal: Whether it takes something away.
export function Dialog({ title, children, action, act, done, close, fatal }) {
  const dialog = useRef(null);
  const [heading] = useState(() => `dialog-${++headings}`);
  const [failure, fail] = useState("");
  const [busy, be] = useState(false);

  // The browser keeps the focus inside, gives it back afterwards, and closes it by Escape.
  useEffect(() => {
    const shown = dialog.current;
    const before = document.activeElement;
    shown.showModal();
    return () => {
      shown.close();
      if (before?.isConnected) before.focus();
    };
  }, []);

  const submit = async (event) => {
    event.preventDefault();
    be(true);
    fail("");
    try {
      done(await act(new FormData(event.target)));
    } catch (failure) {
      fail(failure.message);
      be(false);
    }
  };
  return html`<dialog ref=${dialog} aria-labelledby=${heading} onCancel=${close}>
    <form onSubmit=${submit}>
      <h2 id=${heading}>${title}</h2>
      ${children}
      ${failure && html`<p class="failure" role="alert"><${Coded} text=${failure} /></p>`}
      <div class="choices">
        <button type="button" onClick=${close}>${action ? "Cancel" : "Close"}</button>
        ${
          action &&
          html`<button type="submit" class=${fatal ? "main fatal" : "main"} disabled=${busy}>
          ${busy ? "Working…" : action}
        </button>`
        }
      </div>
    </form>
  </dialog>`;
}
