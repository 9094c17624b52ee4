// Copying, and telling on the button itself that it is done.

import { ask } from "./dialogs.js";
import { fill, icon, say } from "./dom.js";

/** Copy a text, or show it to be copied by hand. */
export async function copy(text, control) {
  try {
    await navigator.clipboard.writeText(text);
    done(control, "Copied");
  } catch {
    // Without the right to the clipboard the text is shown, chosen, to be copied by hand.
    ask("Copy this text", { label: "Text", value: text, rows: 8, yes: "Close" });
  }
}

/** Show for a moment, on the button itself, that it is done. */
export function done(control, words) {
  say(words);
  const [label, before] = [control.getAttribute("aria-label"), [...control.childNodes]];
  control.setAttribute("aria-label", words);
  fill(control, icon("check"));
  setTimeout(() => {
    control.setAttribute("aria-label", label);
    fill(control, before);
  }, 1500);
}
