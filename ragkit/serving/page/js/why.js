// Why this answer: what was found, shown and asked, and what it took.

import { get, path } from "./api.js";
import { notice } from "./dialogs.js";
import { count, drawing, fill, h } from "./dom.js";
import { openPanel } from "./panel.js";
import { openSource } from "./source.js";
import { modeName } from "./state.js";

const SEARCHERS = {
  dense: "meaning",
  keyword: "words",
  fused: "combined",
  rerank: "reranker",
  mmr: "diversity",
};

export function openWhy(message) {
  return openPanel("Why this answer", async (body, still) => {
    fill(body, h("p.status", {}, "Loading…"));
    try {
      const why = await get(path(["messages", message.id, "why"]));
      if (still()) draw(body, why, message);
    } catch (error) {
      if (still()) fill(body, notice(error));
    }
  });
}

function draw(body, why, message) {
  const { usage } = why;
  const confidence = message.answer?.confidence;
  const least = percent(why.threshold ?? 0);
  const signals = Object.entries(why.signals ?? {});
  const stages = Object.entries(why.seconds ?? {});
  const again = () => openWhy(message);
  fill(
    body,
    facts([
      ["Search query", [why.query, why.why_query].filter(Boolean).join(" — ")],
      ["Question type", why.kind && [why.kind.replaceAll("_", " "), why.why_kind].filter(Boolean).join(" — ")],
      ["Answer mode", [modeName(why.mode), why.why_mode].filter(Boolean).join(" — ")],
      ["Model", why.model ? [why.model, why.why_model].filter(Boolean).join(" — ") : "none"],
      ["Confidence", confidence === undefined || why.mode === "agent" ? null : percent(confidence)],
      ["Relevance", !why.threshold ? null : `${percent(why.relevance)}; below ${least} there is no answer`],
      ["Tokens", usage && usage.prompt_tokens + usage.completion_tokens > 0 ? tokens(usage) : null],
      ["Cost", usage ? cost(usage.cost) : null],
    ]),
    why.attempts?.length > 0 && block("Models tried", attempts(why.attempts)),
    why.steps?.length > 0 && block(`Steps (${why.steps.length})`, steps(why.steps, message.config.collection, again)),
    why.hits?.length > 0 && block(`Retrieved passages (${why.hits.length})`, hits(why.hits, message.config.collection, again)),
    signals.length > 0 && block("Confidence signals", bars(signals, number)),
    why.shots?.length > 0 && block("Examples in the prompt", shots(why.shots)),
    why.prompt?.length > 0 && block("Prompt", prompt(why.prompt)),
    why.receipt?.sections?.length > 0 && block("Prompt sections", receipt(why.receipt)),
    why.reply && block("Model output, unverified", said("reply", why.reply)),
    stages.length > 0 && block(`Time (${seconds(total(why.seconds))})`, bars(stages, seconds)),
  );
}

function block(title, ...content) {
  return h("section.block", {}, h("h3", {}, title), content);
}

function facts(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl.facts", {}, known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** Named values as bars; the longest is the largest of them. */
function bars(rows, format, scale = null) {
  const largest = scale ?? Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-9);
  return h(
    "div.bars",
    {},
    rows.map(([name, value]) => [
      h("span", {}, name.replaceAll("_", " ")),
      bar(Math.min(1, Math.abs(value) / largest), `${name}: ${format(value)}`),
      h("span.number", {}, format(value)),
    ]),
  );
}

function bar(share, label) {
  const svg = drawing(100, 8, label, [
    ["rect", { class: "track", width: 100, height: 8 }],
    ["rect", { class: "value", width: (share * 100).toFixed(2), height: 8 }],
  ]);
  svg.setAttribute("preserveAspectRatio", "none");
  return svg;
}

/** Passages with the score of each searcher; the bars of one searcher compare with each other. */
export function hits(found, collection, back) {
  const largest = {};
  for (const hit of found) {
    for (const [stage, score] of Object.entries(hit.scores ?? {})) {
      largest[stage] = Math.max(largest[stage] ?? 0, Math.abs(score));
    }
  }
  const open = (hit) => openSource(collection, { ...hit, quote: hit.text }, { back });
  const each = (hit, n) =>
    h(
      "li.card",
      {},
      h(
        "header",
        {},
        h("span.soft", {}, `${n + 1}.`),
        h("button.link", { type: "button", on: { click: () => open(hit) } }, placeOf(hit)),
      ),
      h("p.text", { dir: "auto" }, hit.text),
      h(
        "div.bars",
        {},
        Object.entries(hit.scores ?? {}).map(([stage, score]) => [
          h("span", {}, SEARCHERS[stage] ?? stage),
          bar(Math.abs(score) / (largest[stage] || 1), `${SEARCHERS[stage] ?? stage}: ${number(score)}`),
          h("span.number", {}, number(score)),
        ]),
      ),
    );
  return h("ol.cards", {}, found.map(each));
}

function placeOf({ title, page, label, heading_path: headings }) {
  const parts = [title, label || (page && `page ${page}`), headings?.at(-1)];
  return parts.filter((part, n) => part && parts.indexOf(part) === n).join(" · ");
}

/** Steps of a plan, or calls of tools: folded, in their order. */
function steps(made, collection, back) {
  const open = (citation) => openSource(collection, citation, { back });
  const each = (step) =>
    h(
      "li.card.step",
      {},
      h(
        "details",
        {},
        h(
          "summary",
          {},
          h("span.title", { dir: "auto" }, step.title),
          h("span.soft.small", {}, [step.state !== "ok" && step.state.replaceAll("_", " "), seconds(step.seconds)].filter(Boolean).join(" · ")),
        ),
        Object.keys(step.arguments).length > 0 && facts(Object.entries(step.arguments)),
        step.output && h("pre", { tabindex: 0, dir: "auto" }, step.output),
        step.citations.map((citation) =>
          h("p", {}, h("button.link", { type: "button", on: { click: () => open(citation) } }, placeOf(citation))),
        ),
        step.tokens > 0 && h("p.soft.small", {}, count(step.tokens, "token")),
      ),
    );
  return h("ol.cards.steps", {}, made.map(each));
}

function attempts(tried) {
  return h(
    "ol.cards",
    {},
    tried.map((each) =>
      h(
        "li.card",
        {},
        h("header", {}, `${each.model}: ${each.outcome}`),
        h("p.soft", {}, `${each.reason} (${seconds(each.seconds)})`),
      ),
    ),
  );
}

function shots(shown) {
  return h(
    "ol.cards",
    {},
    shown.map((shot) => h("li.card", {}, h("p", {}, shot.input), h("p.soft", {}, shot.output))),
  );
}

function prompt(messages) {
  return messages.map((message, n) => said(message.role, message.content, n === messages.length - 1));
}

function said(role, content, open = false) {
  return h("details.said", { open }, h("summary", {}, role), h("pre", { tabindex: 0, dir: "auto" }, content));
}

function receipt({ sections, tokens: all, window: size, answer_tokens: kept }) {
  const row = (section) =>
    h(
      "tr",
      {},
      h("td", {}, section.name),
      h("td.number", {}, section.tokens),
      h("td", {}, section.why ? `${section.state}: ${section.why}` : section.state),
    );
  return [
    h(
      "div.scroller",
      { tabindex: 0, role: "region", "aria-label": "Parts of the prompt" },
      h(
        "table.table",
        {},
        h("thead", {}, h("tr", {}, h("th", {}, "part"), h("th.number", {}, "tokens"), h("th", {}, "state"))),
        h("tbody", {}, sections.map(row)),
      ),
    ),
    h("p.soft.small", {}, `${all} of ${size} tokens; ${kept} reserved for the reply.`),
  ];
}

function tokens(usage) {
  const cached = usage.cached_tokens ? ` (${usage.cached_tokens} remembered)` : "";
  return `${usage.prompt_tokens} read${cached}, ${usage.completion_tokens} written`;
}

function cost(value) {
  if (value === null || value === undefined) return "unknown";
  return value === 0 ? "none (local model)" : `$${value.toPrecision(2)}`;
}

export const percent = (value) => `${Math.round(value * 100)} %`;
const number = (value) => (Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3));
const seconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
const total = (stages) => Object.values(stages).reduce((sum, value) => sum + value, 0);
