// One question and one answer, as they stand in the thread.

import { ApiError, path, post } from "./api.js";
import { copy, done } from "./clipboard.js";
import { ask, notice, problem } from "./dialogs.js";
import { button, fill, h, icon, say } from "./dom.js";
import { finishProse, growingProse, proseOf } from "./prose.js";
import { openSource, quoteIn } from "./source.js";
import { collection, configName, may, tell } from "./state.js";
import { callsView, stepStatus } from "./steps.js";
import { timeOf } from "./times.js";
import { openWhy } from "./why.js";

/** A question, with buttons to edit and resend it. */
export function questionView(text, { edit }) {
  return h(
    "article.question",
    { "aria-label": "Your question" },
    h("p", { dir: "auto" }, text),
    h(
      "div.tools",
      {},
      button("copy", "Copy the question", (event) => copy(text, event.currentTarget), { quiet: true }),
      button("edit", "Edit and resend", () => edit(text), { quiet: true }),
    ),
  );
}

/**
 * An answer that is being made: shows what happens, then the words as they come.
 * @param {string} label
 * @param {(call: string, allow: boolean) => Promise} decide sends a decision about a call to the server.
 */
export function pendingView(label = "Answer", decide = null) {
  const status = h("p.status", {}, "Asking…");
  const prose = growingProse((citation, chip) => show(null, citation, chip));
  const calls = callsView(decide);
  const element = h("article.answer", { "aria-label": label, "aria-busy": "true" }, calls.element, status, prose.element);
  return {
    element,
    /** Take one event of the stream. */
    take({ event, data }) {
      if (event === "queued") status.textContent = data.before ? `${data.before} ahead of you in the queue…` : "Starting…";
      else if (event === "retrieved") status.textContent = readingOf(data.hits);
      else if (event === "prompt") status.textContent = `Processing ${data.tokens.toLocaleString()} prompt tokens…`;
      else if (event === "generating") status.textContent = "Writing…";
      else if (event === "step") status.textContent = stepStatus(data);
      else if (event === "confirm") {
        calls.ask(data);
        status.textContent = "Waiting for your decision…";
      } else if (event === "decided") {
        calls.decided(data);
        status.textContent = "Continuing…";
      }
      else if (event === "delta") {
        status.hidden = true;
        prose.take(data);
      }
    },
    /** What has come so far. */
    get text() {
      return prose.said.text;
    },
    /** Leave what came as it is and say why there is no more. */
    end(...why) {
      element.removeAttribute("aria-busy");
      status.remove();
      calls.end();
      prose.end();
      if (why.length) element.append(...why);
    },
  };
}

function readingOf(hits) {
  if (!hits?.length) return "No matching passages…";
  const names = [...new Set(hits.map((hit) => hit.title || hit.name))];
  const shown = names.slice(0, 2).join(", ");
  const count = hits.length === 1 ? "1 passage" : `${hits.length} passages`;
  return `Reading ${count} of ${shown}${names.length > 2 ? " and others" : ""}…`;
}

/**
 * A finished answer.
 * @param {object} message of the server.
 * @param {{retry?: (question: string) => void, tools?: boolean}} options
 */
export function answerView(message, { retry = null, tools = true } = {}) {
  const { answer } = message;
  let doubted = 0;
  const element = h("article.answer", { "aria-label": "Answer", data: { message: message.id } });
  if (answer?.mode === "extract") element.classList.add("short");
  if (answer?.abstained) element.append(abstention(message));
  else {
    const { citations = [], unsupported = [], contradicted = [] } = answer ?? {};
    const { html, text } = message;
    const said = { html: html ?? "", text, citations, unsupported, contradicted: contradicted ?? [] };
    const prose = proseOf(said, (citation, chip) => show(message, citation, chip));
    doubted = prose.doubted;
    finishProse(prose.element);
    element.append(prose.element);
  }
  if (message.error) element.append(notice(message.error));
  else if (message.stopped) element.append(note("stop", "Stopped. The partial answer is saved."));
  if (doubted) element.append(note("warning", unsupportedNote(doubted)));
  if (message.config?.mode === "plan" && answer?.missing) element.append(note("warning", `Direct answer, not that of a plan. ${answer.missing}`));
  if (answer?.citations.length) element.append(sources(message));
  const corrected = h("p.note.correction");
  element.append(corrected);
  drawCorrection(corrected, message);
  if (tools) element.append(toolbar(message, retry, corrected));
  return element;
}

function abstention(message) {
  return h(
    "div.abstained",
    {},
    h("p", {}, h("strong", {}, message.text)),
    h("p.soft.small", {}, "No retrieved passage supports an answer well enough. Select “Why” to see the passages."),
  );
}

function unsupportedNote(count) {
  return count === 1
    ? "No retrieved source supports 1 sentence (marked with dots)."
    : `No retrieved source supports ${count} sentences (marked with dots).`;
}

function note(name, text) {
  return h("p.note", {}, icon(name), h("span", {}, text));
}

function sources(message) {
  const each = (citation) =>
    h(
      "button",
      { type: "button", on: { click: (event) => show(message, citation, event.currentTarget) } },
      h("span.citation", { "aria-hidden": "true" }, citation.number),
      h("span.where", {}, placeParts(citation)),
      h("span.quote", { dir: "auto" }, quoteIn(citation)),
    );
  return h("div.sources", { role: "group", "aria-label": "Sources" }, message.answer.citations.map(each));
}

/** A place in words: title, and page or section. */
function whereOf({ title, name, page, label, heading_path: headings }) {
  const at = label || (page ? `page ${page}` : headings?.at(-1));
  return [title || name, at].filter((part, n, all) => part && all.indexOf(part) === n);
}

function placeParts(citation) {
  const [called, at] = whereOf(citation);
  return [h("span", { dir: "auto" }, called), at && h(`span${citation.page ? ".page" : ""}`, {}, `· ${at}`)];
}

function show(message, citation, chip) {
  for (const shown of document.querySelectorAll(".citation.shown")) shown.classList.remove("shown");
  const mark = chip.classList.contains("citation") ? chip : chip.querySelector(".citation");
  const place = message?.config?.collection ?? collection().name;
  openSource(place, citation, { onClose: () => mark?.classList.remove("shown") });
  mark?.classList.add("shown");
}

function toolbar(message, retry, corrected) {
  const { config, answer } = message;
  const quiet = (name, label, act) => button(name, label, (event) => act(event.currentTarget), { quiet: true });
  const teaches = may("write") && !answer?.abstained && !message.stopped;
  return h(
    "div.tools",
    { role: "group", "aria-label": "Answer actions" },
    quiet("copy", "Copy with sources", (control) => copy(withSources(message), control)),
    rating(message),
    quiet("correct", "Correct this answer", () => correct(message, corrected)),
    teaches && quiet("star", "Use as an example", (control) => example(message, control)),
    retry && quiet("retry", "Ask again", () => retry(message.question)),
    button("why", "Why", () => openWhy(message), { kind: "plain", "aria-label": "Why this answer" }),
    h("span.meta", {}, madeBy(message), " · ", timeOf(message.created)),
  );
}

/** What an answer was made with; the model only where one was asked. */
function madeBy({ config, answer }) {
  const asked = answer && "model" in answer ? answer.model : config?.model;
  return configName(config && { ...config, model: asked });
}

function rating(message) {
  const thumbs = ["up", "down"].map((thumb) =>
    button(thumb, thumb === "up" ? "Good answer" : "Bad answer", () => rate(thumb), {
      quiet: true,
      "aria-pressed": String(message.rating?.thumb === thumb),
    }),
  );
  async function rate(thumb) {
    const wanted = message.rating?.thumb === thumb ? null : thumb;
    try {
      await post(path(["messages", message.id, "rating"]), { thumb: wanted });
      message.rating = { ...message.rating, thumb: wanted };
      thumbs.forEach((each, n) => each.setAttribute("aria-pressed", String(wanted === ["up", "down"][n])));
      say(wanted ? "Rating saved." : "Rating removed.");
    } catch (error) {
      problem(error);
    }
  }
  return thumbs;
}

function drawCorrection(place, message) {
  const text = message.rating?.correction;
  place.hidden = !text;
  fill(place, icon("correct"), h("span", {}, h("strong", {}, "Your correction: "), text));
}

async function correct(message, place) {
  const correction = await ask("Correct this answer", {
    label: "Correct answer",
    value: message.rating?.correction ?? message.text,
    rows: 6,
    yes: "Save correction",
    hint: "Corrections can become examples, evaluation questions and tuning data.",
  });
  if (correction === null) return;
  try {
    await post(path(["messages", message.id, "rating"]), { correction });
    message.rating = { ...message.rating, correction };
    drawCorrection(place, message);
    say("Correction saved.");
  } catch (error) {
    problem(error);
  }
}

async function example(message, control) {
  try {
    const { contradicts } = await post(path(["messages", message.id, "example"]));
    done(control, "Saved as an example");
    tell("contents");
    if (contradicts?.length) {
      const others = contradicts.join(" · ");
      problem(new ApiError("The example is saved, but another example gives a different answer to the same question.", others));
    }
  } catch (error) {
    problem(error);
  }
}

/** The answer's text, with what its numbers stand for. */
function withSources(message) {
  const listed = (message.answer?.citations ?? []).map(
    (cited) => `[${cited.number}] ${whereOf(cited).join(", ")}: “${cited.quote.replace(/\s+/g, " ").trim()}”`,
  );
  return [message.text, ...(listed.length ? ["", ...listed] : [])].join("\n");
}
