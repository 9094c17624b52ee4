// Preferences of this browser, and the keys.

import { remove } from "./api.js";
import { dialog } from "./dialogs.js";
import { forgetDrafts } from "./drafts.js";
import { button, h } from "./dom.js";
import { MODES, chosen, configName, inSteps, models, prefer, prefs, modesOf, world } from "./state.js";

const THEMES = { auto: "System", light: "Light", dark: "Dark" };
const KEYS = [
  [["Enter"], "ask"],
  [["Shift", "Enter"], "insert a line break"],
  [["Esc"], "stop the answer; close the panel"],
  [["/"], "search conversations (also Ctrl K)"],
  [["↑", "↓"], "move through a list"],
  [["Alt", "N"], "start a new conversation"],
  [["1", "2", "=", "0"], "choose between two answers: left, right, tie, neither"],
  [["J", "K"], "rows: next, previous"],
  [["Y", "N", "E", "U"], "rows: keep, reject, edit, undo"],
  [["?"], "show keyboard shortcuts"],
];

function applyTheme() {
  if (prefs.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = prefs.theme;
}

export function openSettings() {
  dialog("Settings", (close) => [
    label("Appearance", theme()),
    label("Compare the selected mode with", rival()),
    h(
      "label.tick",
      {},
      h("input", {
        type: "checkbox",
        checked: prefs.sometimes,
        on: { change: (event) => prefer("sometimes", event.target.checked) },
      }),
      h(
        "span",
        {},
        "Show two answers for 1 in 10 questions. ",
        h("span.soft", {}, "Your choice improves the assistant. Two answers take twice as long."),
      ),
    ),
    h(
      "div.actions",
      {},
      !world.me?.open && button(null, "Log out", logout),
      h("span.gap"),
      button(null, "Close", close, { kind: "main" }),
    ),
  ]);
}

function label(text, control) {
  return h("label.row", {}, h("span", {}, text), control);
}

function theme() {
  const change = (event) => {
    prefer("theme", event.target.value);
    applyTheme();
  };
  return h(
    "select",
    { on: { change } },
    Object.entries(THEMES).map(([value, name]) => h("option", { value, selected: prefs.theme === value }, name)),
  );
}

/** What stands against the chosen configuration where two answers are shown. */
export function rivalOf(config) {
  const wanted = rivals(config).find((each) => keyOf(each) === prefs.rival);
  return wanted ?? rivals(config)[0] ?? null;
}

/** Every other configuration that differs from the chosen one in one thing; the likeliest first. */
function rivals(config) {
  if (inSteps(config.mode)) return [];
  const hasModel = modesOf(config.model).includes("extract");
  const meant = config.mode !== "auto" ? config.mode : hasModel ? "extract" : "quotes";
  const others = models().filter(({ name }) => name !== config.model && modesOf(name).includes(meant));
  const found = meant === "quotes" ? [] : others.map(({ name }) => ({ ...config, model: name }));
  const modes = modesOf(config.model).filter((mode) => mode !== meant && mode !== "auto" && !inSteps(mode));
  found.push(...modes.map((mode) => ({ ...config, mode })));
  if (config.mode === "chat") found.push({ ...config, shots: config.shots ? 0 : 4 });
  return found;
}

const keyOf = (config) => JSON.stringify([config.model, config.mode, config.shots]);

function rival() {
  const config = chosen();
  const now = rivalOf(config);
  return h(
    "select",
    { on: { change: (event) => prefer("rival", event.target.value) } },
    rivals(config).map((each) =>
      h("option", { value: keyOf(each), selected: now && keyOf(each) === keyOf(now) }, configName(each)),
    ),
  );
}

async function logout() {
  forgetDrafts();
  await remove("api/session").catch(() => {});
  location.reload();
}

export function openKeys() {
  dialog("Keyboard shortcuts", (close) => [
    h(
      "dl.keys",
      {},
      KEYS.map(([keys, does]) => [h("dt", {}, keys.flatMap((key) => [h("kbd", {}, key), " "])), h("dd", {}, does)]),
    ),
    h("h2", {}, "Answer modes"),
    h("dl.keys", {}, Object.values(MODES).map(([name, does]) => [h("dt", {}, name), h("dd.soft", {}, does)])),
    h("div.actions", {}, button(null, "Close", close, { kind: "main", autofocus: true })),
  ]);
}
