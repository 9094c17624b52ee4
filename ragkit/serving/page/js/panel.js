// The panel beside the thread: one view at a time; opening another puts it in its place.

import { button, fill, h } from "./dom.js";

const panel = document.getElementById("panel");
const app = document.getElementById("app");
let opener = null;
let closed = null;
let before = null;
let shown = 0;

/**
 * Open the panel.
 * @param {string} title
 * @param {(body: HTMLElement, still: () => boolean) => void|Promise<void>} draw fills the body; `still` tells, after
 *   waiting, whether the panel still shows this view.
 * @param {{onClose?: () => void, back?: () => void}} options
 */
export async function openPanel(title, draw, { onClose = null, back = null } = {}) {
  closed?.();
  closed = onClose;
  before = back;
  if (panel.hidden) opener = document.activeElement;
  const turn = ++shown;
  const body = h("div.panel-body", { tabindex: 0, role: "region", "aria-label": title });
  const heading = h("h2", { id: "panel-title", tabindex: -1, dir: "auto" }, title);
  const goBack = back && button("left", "Back", back, { quiet: true });
  const close = button("close", "Close (Esc)", () => closePanel(), { quiet: true });
  fill(panel, h("div.panel-head", {}, goBack, heading, close), body);
  panel.hidden = false;
  app.classList.add("with-panel");
  app.classList.remove("drawer");
  heading.focus({ preventScroll: true });
  await draw(body, () => turn === shown);
}

/** Go to the view that this one was opened from, or close the panel. */
export function goBack() {
  if (before) before();
  else closePanel();
}

/** Close the panel and give the focus back; returns whether it was open. */
export function closePanel({ focus = true } = {}) {
  if (panel.hidden) return false;
  shown++;
  panel.hidden = true;
  app.classList.remove("with-panel");
  closed?.();
  closed = null;
  if (focus) (opener?.isConnected ? opener : document.getElementById("question"))?.focus();
  opener = null;
  return true;
}
