// Where questions are written, and by what they are answered.

import { button, fill, h, icon } from "./dom.js";
import { ask, busy, stop } from "./thread.js";
import { MODES, askOnly, chosen, collection, current, may, models, on, prefer, prefs, modeName, modesOf } from "./state.js";
import { chooseFiles } from "./uploads.js";

const form = document.getElementById("composer");
const LONGEST = 8000;
const SHOTS = [0, 2, 4, 8];
const text = h("textarea", {
  id: "question",
  rows: 1,
  maxlength: LONGEST,
  placeholder: "Ask your documents…",
  "aria-label": "Question",
  "aria-keyshortcuts": "Enter",
});
const model = select("Model", "model");
const mode = select("Answer mode", "mode");
const shots = select("Examples shown to the model", "shots");
const attach = button("attach", "Add files", chooseFiles, { quiet: true, kind: "attach" });
const wantsTwo = () => two.getAttribute("aria-pressed") === "true";
const two = button("two", "Compare answers", () => two.setAttribute("aria-pressed", String(!wantsTwo())), {
  "aria-pressed": "false",
  // On a narrow page the words are hidden; the name stays.
  "aria-label": "Compare answers",
  title: "Compare two answers to the next question",
});
two.classList.add("toggle");
const only = h("div.only", { hidden: true });
const go = h("button.button.main.ask", { type: "submit" });

export function startComposer() {
  fill(
    form,
    h("div.box", {}, only, text, h("div.controls", {}, attach, mode, model, shots, two, h("span.gap"), go)),
    h("p.hint", {}, "Answers can be wrong. Check the sources."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (busy()) stop();
    else send();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!busy()) send();
  });
  text.addEventListener("input", drawGo);
  on("busy", drawGo);
  on("world", drawChoices);
  on("only", drawOnly);
  on("prefs", ({ name }) => ["mode", "model", "collection"].includes(name) && drawChoices());
  drawChoices();
  drawGo();
}

/** Put a question into the composer, to be changed and sent. */
export function putQuestion(question) {
  text.value = question;
  text.focus();
  text.setSelectionRange(question.length, question.length);
  drawGo();
}

export function focusQuestion() {
  text.focus();
}

function send() {
  const question = text.value.trim();
  if (!question || !collection()) return;
  const wanted = wantsTwo();
  text.value = "";
  two.setAttribute("aria-pressed", "false");
  drawGo();
  ask(question, { two: wanted });
}

function drawGo() {
  const label = busy() ? "Stop (Esc)" : "Send (Enter)";
  fill(go, icon(busy() ? "stop" : "send"));
  go.setAttribute("aria-label", label);
  go.title = label;
  go.disabled = !busy() && (!text.value.trim() || !collection());
}

function select(label, preference) {
  const change = ({ target: { value } }) => prefer(preference, preference === "shots" ? Number(value) : value);
  return h("select", { "aria-label": label, title: label, on: { change } });
}

function drawOnly() {
  only.hidden = !current.only;
  const all = () => {
    askOnly(null);
    text.focus();
  };
  if (!current.only) return;
  const name = h("span", {}, "Only ", h("b", {}, current.only));
  fill(only, icon("file"), name, button("close", "Search all documents", all, { quiet: true }));
  text.focus();
}

function drawChoices() {
  const now = chosen();
  attach.hidden = !may("write");
  model.hidden = models().length < 2;
  fill(
    model,
    models().map(({ name, kind }) =>
      h("option", { value: name, selected: name === now.model }, kind === "none" ? "No model" : name),
    ),
  );
  fill(
    mode,
    modesOf(now.model).map((each) => h("option", { value: each, selected: each === now.mode }, modeName(each))),
  );
  mode.title = MODES[now.mode]?.[1] ?? "";
  shots.hidden = now.mode !== "chat" || !collection()?.examples;
  fill(
    shots,
    SHOTS.map((count) =>
      h("option", { value: count, selected: count === prefs.shots }, count ? `${count} examples` : "No examples"),
    ),
  );
  drawGo();
}
