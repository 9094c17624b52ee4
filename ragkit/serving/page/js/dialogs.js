// Modal dialogs. <dialog> traps the focus, closes on Esc and gives the focus back.

import { button, fill, h } from "./dom.js";
import { ApiError, post } from "./api.js";

function show(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

let labels = 0;

/** Open a dialog with a heading; `content` is called with a function that closes it. */
export function dialog(title, content, options = {}) {
  const label = `dialog-${++labels}`;
  const element = h("dialog", { "aria-labelledby": label, ...options });
  const close = () => element.close();
  element.append(h("div.content", {}, h("h2", { id: label }, title), content(close)));
  return show(element);
}

/** Ask for a yes; resolves to whether it came. */
export function confirm(title, text, yes) {
  return new Promise((resolve) => {
    let sure = false;
    const element = dialog(title, (close) => [
      h("p", {}, text),
      h(
        "div.actions",
        {},
        button(null, "Cancel", close, { autofocus: true }),
        button(null, yes, () => ((sure = true), close()), { kind: "danger" }),
      ),
    ]);
    element.addEventListener("close", () => resolve(sure));
  });
}

/** Ask for a text, or with the type "password" for a secret; resolves to it, or to null. */
export function ask(title, { label, value = "", yes = "Save", rows = 1, hint = "", type = "text" }) {
  return new Promise((resolve) => {
    let said = null;
    const secret = type === "password";
    const kind = rows > 1 ? { rows } : { type, autocomplete: secret ? "off" : null };
    const field = h(rows > 1 ? "textarea" : "input.field", { value, ...kind, dir: "auto", autofocus: true, required: true });
    const element = h("dialog", { "aria-label": title });
    const form = h(
      "form",
      { method: "dialog", on: { submit: () => (said = secret ? field.value : field.value.trim()) } },
      h("h2", {}, title),
      h("label.row", {}, h("span", {}, label), field),
      hint && h("p.soft.small", {}, hint),
      h(
        "div.actions",
        {},
        button(null, "Cancel", () => element.close()),
        h("button.button.main", { type: "submit" }, yes),
      ),
    );
    element.append(form);
    show(element).addEventListener("close", () => resolve(said || null));
    field.select?.();
  });
}

/** Show an error and how to fix it in a dialog. */
export function problem(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  dialog("Error", (close) => [
    notice(error),
    h("div.actions", {}, button(null, "Close", close, { kind: "main", autofocus: true })),
  ]);
}

/** An error as a box in the text. */
export function notice(error, kind = "bad") {
  const hint = error.hint && h("span", {}, error.hint);
  return h(`div.notice.${kind}`, { role: "alert" }, h("strong", {}, error.message), hint);
}

/** Ask for the token until the server takes one. */
export function login() {
  return new Promise((resolve) => {
    const secret = { type: "password", autocomplete: "current-password" };
    const field = h("input.field", { ...secret, autofocus: true, required: true });
    const wrong = h("div", {});
    const element = h("dialog.login", { "aria-labelledby": "login-title" });
    const submit = async (event) => {
      event.preventDefault();
      try {
        await post("api/session", { token: field.value.trim() });
        element.close();
        resolve();
      } catch (error) {
        fill(wrong, notice(error.status === 401 ? new ApiError("Invalid token.", error.hint) : error));
        field.select();
      }
    };
    element.append(
      h(
        "form",
        { on: { submit } },
        h("h2", { id: "login-title" }, "Log in"),
        h("p.soft", {}, "This server requires a token. Ask its owner for one."),
        h("label.row", {}, h("span", {}, "Token"), field),
        wrong,
        h("div.actions", {}, h("button.button.main", { type: "submit" }, "Log in")),
      ),
    );
    // There is nothing behind this dialog to go back to.
    element.addEventListener("cancel", (event) => event.preventDefault());
    show(element);
  });
}
