// One question and one answer, as they stand in the thread.

import { ApiError, path, post } from "./api.js";
import { ask, notice, problem } from "./dialogs.js";
import { button, fill, h, icon, say, serverHtml } from "./dom.js";
import { markSpans } from "./marking.js";
import { openSource, quoteIn } from "./source.js";
import { collection, configName, may, tell } from "./state.js";
import { openWhy } from "./why.js";

const UNSUPPORTED = "No retrieved source supports this sentence.";
const CONTRADICTED = "A source contradicts this sentence.";

/** A question, with buttons to edit and resend it. */
export function questionView(text, { edit }) {
  return h(
    "article.question",
    { "aria-label": "Your question" },
    h("p", {}, text),
    h(
      "div.tools",
      {},
      button("copy", "Copy the question", (event) => copy(text, event.currentTarget), { quiet: true }),
      button("edit", "Edit and resend", () => edit(text), { quiet: true }),
    ),
  );
}

/** An answer that is being made: shows what happens, then the words as they come. */
export function pendingView(label = "Answer") {
  const status = h("p.status", {}, "Asking…");
  const prose = h("div.prose.raw", { hidden: true });
  const element = h("article.answer", { "aria-label": label, "aria-busy": "true" }, status, prose);
  return {
    element,
    /** Take one event of the stream. */
    take({ event, data }) {
      if (event === "queued") status.textContent = data.before ? `${data.before} ahead of you in the queue…` : "Starting…";
      else if (event === "retrieved") status.textContent = readingOf(data.hits);
      else if (event === "prompt") status.textContent = `Processing ${data.tokens.toLocaleString()} prompt tokens…`;
      else if (event === "generating") status.textContent = "Writing…";
      else if (event === "delta") {
        status.hidden = true;
        prose.hidden = false;
        prose.append(data.supported ? data.text : doubted(data));
      }
    },
    /** What has come so far. */
    get text() {
      return prose.textContent;
    },
    /** Leave what came as it is and say why there is no more. */
    end(...why) {
      element.removeAttribute("aria-busy");
      status.remove();
      if (why.length) element.append(...why);
    },
  };
}

/** A sentence of a stream that no source supports, marked as in the finished answer. */
function doubted({ text, contradicted }) {
  const [kind, title] = contradicted ? [".contradicted", CONTRADICTED] : ["", UNSUPPORTED];
  return h(`span.unsupported${kind}`, { title }, text);
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
  const element = h("article.answer", { "aria-label": "Answer", data: { message: message.id } });
  if (answer?.mode === "extract") element.classList.add("short");
  if (answer?.abstained) element.append(abstention(message));
  else element.append(prose(message));
  if (message.error) element.append(notice(message.error));
  else if (message.stopped) element.append(note("stop", "Stopped. The partial answer is saved."));
  if (answer?.unsupported?.length) element.append(note("warning", unsupportedNote(answer.unsupported.length)));
  if (answer?.citations.length) element.append(sources(message));
  const corrected = h("p.note.correction");
  element.append(corrected);
  drawCorrection(corrected, message);
  if (tools) element.append(toolbar(message, retry, corrected));
  return element;
}

function prose(message) {
  const { answer } = message;
  const element = serverHtml(h("div.prose"), message.html ?? "");
  if (answer?.unsupported?.length) {
    const against = new Set((answer.contradicted ?? []).map(String));
    const silent = answer.unsupported.filter((span) => !against.has(String(span)));
    markSpans(element, message.text, silent, () => h("span.unsupported", { title: UNSUPPORTED }));
    const wrapper = () => h("span.unsupported.contradicted", { title: CONTRADICTED });
    markSpans(element, message.text, answer.contradicted ?? [], wrapper);
  }
  for (const chip of element.querySelectorAll("button.citation")) {
    const citation = answer?.citations.find((each) => String(each.number) === chip.dataset.number);
    if (citation) chip.addEventListener("click", () => show(message, citation, chip));
    else chip.disabled = true;
  }
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
    ? "No retrieved source supports 1 sentence (dotted underline)."
    : `No retrieved source supports ${count} sentences (dotted underline).`;
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
      h("span.quote", {}, quoteIn(citation)),
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
  return [h("span", {}, called), at && h(`span${citation.page ? ".page" : ""}`, {}, `· ${at}`)];
}

function show(message, citation, chip) {
  for (const shown of document.querySelectorAll(".citation.shown")) shown.classList.remove("shown");
  const mark = chip.classList.contains("citation") ? chip : chip.querySelector(".citation");
  const place = message.config?.collection ?? collection().name;
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
    quiet("edit", "Correct this answer", () => correct(message, corrected)),
    teaches && quiet("star", "Use as an example", (control) => example(message, control)),
    retry && quiet("retry", "Ask again", () => retry(message.question)),
    button("why", "Why", () => openWhy(message), { kind: "plain", "aria-label": "Why this answer" }),
    h("span.meta", {}, configName(config)),
  );
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
  fill(place, icon("edit"), h("span", {}, h("strong", {}, "Your correction: "), text));
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

async function copy(text, control) {
  try {
    await navigator.clipboard.writeText(text);
    done(control, "Copied");
  } catch {
    // Without the right to the clipboard the text is shown, chosen, to be copied by hand.
    ask("Copy this text", { label: "Text", value: text, rows: 8, yes: "Close" });
  }
}

/** Show for a moment, on the button itself, that it is done. */
function done(control, words) {
  say(words);
  const [label, before] = [control.getAttribute("aria-label"), [...control.childNodes]];
  control.setAttribute("aria-label", words);
  fill(control, icon("check"));
  setTimeout(() => {
    control.setAttribute("aria-label", label);
    fill(control, before);
  }, 1500);
}
