// Where questions are written, and by what they are answered.

import { button, fill, h, icon, say } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { ask, busy, stop } from "./thread.js";
import { MODES, askOnly, chosen, collection, current, inSteps, may, modeName, models, modesOf, on, prefer, prefs, world } from "./state.js";
import { chooseFiles } from "./uploads.js";

const form = document.getElementById("composer");
const NEARLY = 0.8;
const SHOTS = [0, 2, 4, 8];
const text = h("textarea", {
  id: "question",
  rows: 1,
  placeholder: "Ask your documents…",
  "aria-label": "Question",
  "aria-keyshortcuts": "Enter",
  "aria-describedby": "length",
  dir: "auto",
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
const length = h("p.length", { id: "length", hidden: true });
const only = h("div.only", { hidden: true });
const go = h("button.button.main.ask", { type: "submit" });
let draftId = null;
let wasOver = false;

export function startComposer() {
  fill(
    form,
    h("div.box", {}, only, text, length, h("div.controls", {}, attach, mode, model, shots, two, h("span.gap"), go)),
    h("p.hint", {}, "Answers can be wrong. Check the sources."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (busy()) stop();
    else send();
  });
  text.addEventListener("keydown", (event) => {
    // Safari ends a composition before the Enter that ended it; only its key code shows that it belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!busy()) send();
  });
  text.addEventListener("input", () => {
    keepDraft(draftId, text.value);
    drawGo();
  });
  on("conversation", showDraft);
  on("busy", drawGo);
  on("world", drawChoices);
  on("only", drawOnly);
  on("prefs", ({ name }) => ["mode", "model", "collection"].includes(name) && drawChoices());
  drawChoices();
  drawGo();
}

/** Show what was written in the conversation that is shown now. A question that gets its conversation keeps its text. */
function showDraft(change) {
  const id = current.conversation?.id ?? "";
  if (id === draftId) return;
  if (change?.begun) {
    keepDraft(draftId, "");
    keepDraft(id, text.value);
  } else text.value = draftOf(id);
  draftId = id;
  drawGo();
}

/** Put a question into the composer, to be changed and sent. */
export function putQuestion(question) {
  text.value = question;
  keepDraft(draftId, question);
  text.focus();
  text.setSelectionRange(question.length, question.length);
  drawGo();
}

export function focusQuestion() {
  text.focus();
}

function send() {
  const question = text.value.trim();
  if (go.disabled) return;
  const wanted = wantsTwo();
  text.value = "";
  keepDraft(draftId, "");
  two.setAttribute("aria-pressed", "false");
  drawGo();
  ask(question, { two: wanted });
}

function drawGo() {
  const label = busy() ? "Stop (Esc)" : "Send (Enter)";
  fill(go, icon(busy() ? "stop" : "send"));
  go.setAttribute("aria-label", label);
  go.title = label;
  const characters = Array.from(text.value.trim()).length;
  const most = world.me.limits.question;
  const over = characters - most;
  length.hidden = characters < NEARLY * most;
  length.classList.toggle("over", over > 0);
  const used = `${characters.toLocaleString()} of ${most.toLocaleString()} characters`;
  length.textContent = over > 0 ? `${used}. Shorten the question by ${over.toLocaleString()}, or add the text as a file.` : used;
  if (over > 0 && !wasOver) say(length.textContent);
  wasOver = over > 0;
  text.setAttribute("aria-invalid", String(over > 0));
  go.disabled = !busy() && (!characters || over > 0 || !collection());
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
  two.hidden = inSteps(now.mode);
  shots.hidden = now.mode !== "chat" || !collection()?.examples;
  fill(
    shots,
    SHOTS.map((count) =>
      h("option", { value: count, selected: count === prefs.shots }, count ? `${count} examples` : "No examples"),
    ),
  );
  drawGo();
}
