// The thread: questions and answers of the shown conversation, asking, stopping, and keeping to the bottom.

import { events, get, getText, path, post } from "./api.js";
import { compareView, waitingView } from "./compare.js";
import { notice, problem } from "./dialogs.js";
import { button, fill, h, say } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { emptyView } from "./empty.js";
import { answerView, pendingView, questionView } from "./message.js";
import { closePanel } from "./panel.js";
import { rivalOf } from "./settings.js";
import { askOnly, chosen, collection, current, on, prefer, prefs, tell } from "./state.js";

const thread = document.getElementById("thread");
const topbar = document.getElementById("topbar");
const column = h("div.column");
const toBottom = button("bottom", "Scroll to the latest answer", () => toEnd(), { quiet: true, hidden: true });
toBottom.classList.add("to-bottom");
const title = h("h1", { tabindex: -1, dir: "auto" });
const exporting = button("download", "Export to Markdown", exportMarkdown, { quiet: true });
const CLOSE = 80;
const SOMETIMES = 0.1;
let pinned = true;
let before = 0;
let running = null;
let opening = 0;
let edit = () => {};

export function startThread({ menu, put, newConversation }) {
  edit = put;
  fill(
    topbar,
    button("menu", "Conversations", menu, { quiet: true, id: "menu" }),
    title,
    button("plus", "New conversation", newConversation, { quiet: true, id: "fresh-top" }),
    exporting,
  );
  fill(thread, column, toBottom);
  thread.addEventListener("scroll", () => {
    const close = thread.scrollHeight - thread.scrollTop - thread.clientHeight < CLOSE;
    // Growth alone moves the end away, too; only who goes up wants to read there.
    if (atComparison()) pinned &&= thread.scrollTop === before;
    else if (close || thread.scrollTop < before) pinned = close;
    before = thread.scrollTop;
    toBottom.hidden = pinned;
    topbar.classList.toggle("scrolled", thread.scrollTop > 4);
  });
  // Whatever makes the thread taller keeps its end in view, but only for who is reading there.
  new ResizeObserver(() => pinned && follow()).observe(column);
  on("conversation", drawTitle);
  on("prefs", ({ name }) => name === "collection" && changed());
  on("world", () => column.querySelector(".empty") && showEmpty());
}

function toEnd() {
  pinned = true;
  thread.scrollTop = thread.scrollHeight;
}

const atComparison = () => column.lastElementChild?.matches(".comparison") ?? false;

/** Keep the end in view; of two answers the beginning, from which they are read, with the vote below them. */
function follow() {
  if (!atComparison()) return toEnd();
  pinned = true;
  column.lastElementChild.previousElementSibling?.scrollIntoView({ block: "start" });
  before = thread.scrollTop;
}

function drawTitle() {
  const shown = current.conversation?.title || "New conversation";
  title.textContent = shown;
  document.title = current.conversation ? `${shown} – ragkit` : "ragkit";
  exporting.hidden = !current.conversation;
}

/** Whether an answer is being made. */
export const busy = () => running !== null;

/** A conversation is about one collection: choosing another begins a new one. */
function changed() {
  askOnly(null);
  closePanel({ focus: false });
  if (current.conversation && current.conversation.collection !== prefs.collection) location.hash = "#/";
  else if (column.querySelector(".empty")) showEmpty();
}

/** Show a conversation, or the beginning of a new one where `id` is empty. */
export async function showConversation(id) {
  const turn = ++opening;
  if (id && id === current.conversation?.id) return;
  closePanel({ focus: false });
  if (!id) {
    current.conversation = null;
    tell("conversation");
    showEmpty();
    return;
  }
  const run = running;
  try {
    const conversation = await get(path(["conversations", id]));
    if (turn !== opening) return;
    current.conversation = { id: conversation.id, title: conversation.title, collection: conversation.collection };
    if (collection()?.name !== conversation.collection) prefer("collection", conversation.collection);
    tell("world");
    fill(column, turns(conversation));
    if (run?.conversation === id) attach(run, conversation.messages);
    else if (conversation.messages.at(-1)?.state === "answering" && !running) followAgain(conversation);
    tell("conversation");
    follow();
  } catch (error) {
    if (turn !== opening) return;
    fill(column, notice(error));
  }
}

/**
 * An answer that was still being made when the messages were asked for stands at the end of its conversation, whether or
 * not the server has begun it, and whether or not it has ended since.
 */
function attach(run, messages) {
  const unanswered = messages.at(-1)?.role === "user";
  if (running !== run && !unanswered) return;
  if (unanswered) column.lastElementChild.remove();
  column.append(run.question, run.element);
}

/** The questions and answers of a conversation; two answers that nobody ranked yet stand side by side. */
function turns({ id, messages, comparisons }) {
  const found = new Map(messages.map((message) => [message.id, message]));
  for (const { id: comparison, a, b } of comparisons) {
    found.set(a, { comparison: { id: comparison, a: found.get(a), b: found.get(b) } });
    found.delete(b);
  }
  return [...found.values()].flatMap(({ comparison, ...message }) => {
    if (comparison) return waitingView(comparison, id, { retry: ask });
    if (message.role === "user") {
      const question = questionView(message.text, { edit });
      return message.state === "interrupted" && running?.conversation !== id ? [question, interrupted(message.text)] : question;
    }
    // If the server stopped between two answers and their comparison, their configuration is unknown.
    return answerView(message, { retry: ask, tools: message.config !== null });
  });
}

function showEmpty() {
  fill(column, emptyView({ put: edit }));
  pinned = false;
  thread.scrollTop = 0;
}

/** Ask a question in the shown conversation; `two` shows two answers. */
export async function ask(question, { two = false } = {}) {
  const place = collection();
  if (running || !place) return;
  const config = chosen();
  const rival = rivalOf(config);
  const compare = rival && (two || (prefs.sometimes && Math.random() < SOMETIMES));
  if (!current.conversation) fill(column);
  column.querySelector(":scope > .notice")?.remove();
  const run = {
    question: questionView(question, { edit }),
    collection: place.name,
    conversation: current.conversation?.id ?? null,
    stop: new AbortController(),
  };
  running = run;
  tell("busy", true);
  const where = current.only && `title == "${current.only.replace(/["\\]/g, "\\$&")}"`;
  // Until the server has it, the question is a draft: a reload after a failure brings it back.
  const draft = run.conversation ?? "";
  keepDraft(draft, question);
  const json = { question, where, ...(current.conversation ? { conversation: current.conversation.id } : {}) };
  const work = compare
    ? compareView(run, { ...json, a: config, b: rival }, { asked: two, retry: ask })
    : answering(run, { ...json, ...config });
  run.element = work.element;
  column.append(run.question, run.element);
  follow();
  say("Asked.");
  try {
    await work.done((conversation) => {
      if (draftOf(draft) === question) keepDraft(draft, "");
      began(run, conversation);
    });
  } finally {
    running = null;
    tell("busy", false);
    tell("conversation");
  }
}

/** Follow an answer that was being made when the page was loaded. */
async function followAgain({ id, collection: place, messages }) {
  const { id: asked, text } = messages.at(-1);
  const question = column.lastElementChild;
  const run = { question, collection: place, conversation: id, asked, stop: new AbortController() };
  running = run;
  tell("busy", true);
  const work = answering(run, { question: text }, ["GET", path(["messages", asked, "events"])]);
  run.element = work.element;
  column.append(run.element);
  try {
    await work.done(() => {});
  } finally {
    running = null;
    tell("busy", false);
  }
}

/** What stands after a question whose answer never came, such as one that the server stopped over. */
function interrupted(question) {
  const missing = pendingView();
  missing.end(
    notice({ message: "The answer was interrupted.", hint: "" }),
    h("div.tools", {}, button("retry", "Ask again", () => again(question))),
  );
  return missing.element;
}

/** The server has named the conversation that a question belongs to. */
function began(run, { id, title: called }) {
  const here = run.element.isConnected;
  run.conversation = id;
  if (!here) return;
  const known = current.conversation?.id === id;
  current.conversation = { id, title: called ?? current.conversation?.title, collection: run.collection };
  if (!known) history.replaceState(history.state, "", `#/${id}`);
  tell("conversation", { begun: !known });
}

/** Stop the answer that is being made. */
export function stop() {
  if (!running) return false;
  const run = running;
  // The stream then ends with what came; a page that does not know the question's id yet just leaves.
  if (run.asked) post(path(["messages", run.asked, "stop"])).catch(() => run.stop.abort());
  else run.stop.abort();
  return true;
}

function answering(run, json, [method, url] = ["POST", path(["collections", run.collection, "answers"])]) {
  const pending = pendingView("Answer", (call, allow) => post(path(["messages", run.asked, "calls", call]), { allow }));
  async function done(onConversation) {
    try {
      const body = method === "POST" ? { json: { ...json, resumable: true } } : {};
      for await (const event of events(method, url, { ...body, signal: run.stop.signal })) {
        if (event.event === "conversation") {
          run.asked = event.data.question;
          onConversation(event.data);
        }
        else if (event.event === "finished") return finish(event.data.message);
        else if (event.event === "error") return fail(event.data);
        else pending.take(event);
      }
      return fail({ message: "The answer was interrupted.", hint: "Ask again." });
    } catch (error) {
      if (error.name === "AbortError") return stopped();
      if (error.status === undefined) console.error(error);
      return fail(error);
    }
  }
  function finish(message) {
    // Who came back at this very moment was shown what the server has kept.
    const shown = column.querySelector(`[data-message="${message.id}"]`);
    shown?.previousElementSibling.remove();
    shown?.remove();
    const element = answerView(message, { retry: ask });
    pending.element.replaceWith(element);
    run.element = element;
    say(message.stopped && !message.error ? "Stopped." : message.answer?.abstained ? message.text : `Answer: ${message.text}`);
  }
  function fail(error) {
    pending.end(notice(error), h("div.tools", {}, button("retry", "Ask again", () => again(json.question))));
  }
  function stopped() {
    say("Stopped.");
    pending.end(h("p.note", {}, "Stopped."));
  }
  return { element: pending.element, done };
}

function again(question) {
  running ?? ask(question);
}

async function exportMarkdown() {
  const { id, title: called } = current.conversation;
  try {
    const text = await getText(path(["conversations", id, "export.md"]));
    const address = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
    const name = called.replace(/[^\p{L}\p{N} -]/gu, "").trim().slice(0, 80) || "conversation";
    h("a", { href: address, download: `${name}.md` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) {
    problem(error);
  }
}

