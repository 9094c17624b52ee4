// On a narrow page the panel and the drawer cover the thread, and Back closes them instead of leaving the page.

import { goBack } from "./panel.js";
import { NARROW } from "./state.js";

const app = document.getElementById("app");
const covered = () => NARROW.matches && (app.classList.contains("with-panel") || app.classList.contains("drawer"));
const hasEntry = () => history.state?.cover === true;

/** Keep one entry of the history for as long as the thread is covered. */
function sync() {
  if (covered() && !hasEntry()) history.pushState({ cover: true }, "");
  else if (!covered() && hasEntry()) history.back();
}

export function startBack() {
  // The observer runs once for all changes of a task, so a drawer that becomes a panel is one cover.
  new MutationObserver(sync).observe(app, { attributeFilter: ["class"] });
  window.addEventListener("popstate", () => {
    if (!covered() || hasEntry()) return sync();
    if (app.classList.contains("drawer")) app.classList.remove("drawer");
    else goBack();
    // A view that goes back to another one still covers the thread.
    sync();
  });
  sync();
}
