// Review of generated rows: a list with filters, and one row at a time with its evidence.

import { get, path, post } from "./api.js";
import { ask, notice, problem } from "./dialogs.js";
import { arrowKeys, button, count, fill, h, say } from "./dom.js";
import { generation } from "./generate.js";
import { openPanel } from "./panel.js";
import { openSource } from "./source.js";
import { collection } from "./state.js";

const STATES = { undecided: "Not reviewed", all: "All", kept: "Kept", rejected: "Rejected", reviewed: "Reviewed" };
const filters = { state: "undecided", gate: "", kind: "" };
/** The list that is looked through: a row stays in it until the list is opened again. */
let listed = [];
let keys = null;

/** Open the list of rows; `focus` is the id of the row to focus. */
export function openRows({ focus = null } = {}) {
  const chosen = collection();
  return openPanel("Rows", async (body, still) => {
    fill(body, h("p.status", {}, "Loading…"));
    try {
      const query = { ...filters, limit: 500 };
      const [found, made] = await Promise.all([
        get(path(["collections", chosen.name, "rows"], query)),
        get(path(["collections", chosen.name, "generation"])),
      ]);
      if (still()) drawList(body, chosen, found, generation(chosen.name, made, still, openRows), focus);
    } catch (error) {
      if (still()) fill(body, notice(error));
    }
  });
}

function drawList(body, chosen, { total, counts, rows }, generator, focus) {
  listed = rows.map((row) => row.id);
  const list = h(
    "ul.cards.block",
    { "aria-label": "Rows" },
    rows.map((row) => item(row, chosen)),
  );
  arrowKeys(list, ".row-open");
  fill(
    body,
    h("p.soft", {}, `Generated questions for ${chosen.title}. Your decisions take precedence over those of the gates.`),
    generator,
    // Without any rows there is nothing to filter.
    counts.states.all > 0 && [
      h(
        "div.bar.block",
        { role: "group", "aria-label": "Filters" },
        filter("State", "state", Object.entries(STATES).map(([key, name]) => [key, `${name} (${counts.states[key]})`])),
        filter("Rejected by", "gate", [["", "Any gate"], ...withCounts(counts.gates)]),
        filter("Kind", "kind", [["", "Any kind"], ...withCounts(counts.kinds)]),
      ),
      h(
        "p.soft.small",
        {},
        total > rows.length ? `The first ${rows.length} of ${count(total, "row")}` : count(total, "row"),
        ". Keys: ",
        ...["j", "k"].flatMap((key) => [h("kbd", {}, key), " "]),
        "move between rows.",
      ),
      total ? list : h("p.block", {}, "No rows match these filters."),
    ],
  );
  if (focus) list.querySelector(`[data-row="${focus}"]`)?.focus();
  listen((key) => {
    const items = [...list.querySelectorAll(".row-open")];
    const at = items.indexOf(document.activeElement);
    const to = { j: at + 1, k: at - 1 }[key];
    items[to]?.focus();
    return to !== undefined;
  });
}

const withCounts = (found) => Object.entries(found).map(([key, number]) => [key, `${key} (${number})`]);

function filter(label, name, options) {
  const change = (event) => {
    filters[name] = event.target.value;
    openRows();
  };
  return h(
    "select",
    { "aria-label": label, on: { change } },
    options.map(([value, text]) => h("option", { value, selected: filters[name] === value }, text)),
  );
}

function item(row, chosen) {
  const open = () => openRow(chosen, row.id);
  return h(
    "li.card",
    {},
    h(
      "header",
      {},
      h("button.link.row-open", { type: "button", dir: "auto", data: { row: row.id }, on: { click: open } }, row.question),
      h("span.gap"),
      badge(row),
    ),
    h("p.text", { dir: "auto" }, row.answer),
  );
}

function badge({ kept, gate, reviewed }) {
  const by = reviewed ? "reviewed" : !kept && gate;
  return h(`span.badge.${kept ? "good" : "bad"}`, {}, kept ? "Kept" : "Rejected", by && ` · ${by}`);
}

/** Open one row. */
function openRow(chosen, id) {
  const back = () => openRows({ focus: id });
  return openPanel(
    "Row",
    async (body, still) => {
      fill(body, h("p.status", {}, "Loading…"));
      try {
        const row = await get(path(["collections", chosen.name, "rows", id]));
        if (still()) drawRow(body, chosen, row);
      } catch (error) {
        if (still()) fill(body, notice(error));
      }
    },
    { back },
  );
}

function drawRow(body, chosen, row) {
  const at = listed.indexOf(row.id);
  // The decision of a person is shown above.
  const gates = row.decisions.filter(({ gate }) => gate !== "review");
  const move = (step) => listed[at + step] && openRow(chosen, listed[at + step]);
  const decide = async (verdict, more = {}) => {
    try {
      const now = await post(path(["collections", chosen.name, "rows", row.id, "reviews"]), { verdict, ...more });
      say({ keep: "Kept.", reject: "Rejected.", undo: "Undone." }[verdict]);
      if (verdict === "undo" || !listed[at + 1]) drawRow(body, chosen, now);
      else await move(1);
    } catch (error) {
      problem(error);
    }
  };
  const reject = async () => {
    const reason = await ask("Reject the row", { label: "Reason", yes: "Reject", value: "Wrong answer" });
    if (reason) await decide("reject", { reason });
  };
  const actions = {
    j: () => move(1),
    k: () => move(-1),
    y: () => decide("keep"),
    n: reject,
    e: () => edit(body, row, decide, () => drawRow(body, chosen, row)),
    u: () => row.review && decide("undo"),
  };
  listen((key) => {
    actions[key]?.();
    return key in actions;
  });
  fill(
    body,
    h(
      "div.bar.stick",
      { role: "group", "aria-label": "Decision" },
      button("check", "Keep", actions.y, { kind: "main", title: "Keep (y)" }),
      button("close", "Reject", actions.n, { title: "Reject (n)" }),
      button("edit", "Edit", actions.e, { title: "Edit (e)" }),
      row.review && button("retry", "Undo", actions.u, { title: "Undo (u)" }),
      h("span.gap"),
      h("span.number.soft.small", {}, `${at + 1} of ${listed.length}`),
      button("left", "Previous row (k)", actions.k, { quiet: true, disabled: at <= 0 }),
      button("right", "Next row (j)", actions.j, { quiet: true, disabled: at + 1 >= listed.length }),
    ),
    h("p.row-state", {}, badge(row), " ", h("span.soft.small", {}, [row.kind, ...row.tags, row.generator].filter(Boolean).join(" · "))),
    row.review && h("p.soft.small", {}, reviewText(row)),
    row.messages.slice(0, -1).map(({ role, content }) => part(role, content)),
    part("Question", row.question),
    part("Answer", row.answer),
    row.evidence.map((one) => evidence(chosen, one, row.id)),
    gates.length > 0 && decisions(gates),
  );
  for (const passage of body.querySelectorAll(".passage")) showEvidence(passage);
}

function reviewText({ review, edited }) {
  const day = new Date(review.at).toLocaleString();
  const done = review.verdict === "keep" ? (edited ? "Edited and kept" : "Kept") : "Rejected";
  return `${done} by ${review.person}, ${day}.${review.reason ? ` ${review.reason}` : ""}`;
}

function part(title, text) {
  return h("section.block", {}, h("h3", {}, title), h("p.fulltext", { dir: "auto" }, text));
}

function evidence(chosen, { document_id, name, start, end, exact, parts }, id) {
  const text = h(
    "div.fulltext.passage",
    { dir: "auto", tabindex: 0, role: "region", "aria-label": `Passage of ${name}` },
    parts.map(({ kind, text: said }) =>
      kind === "answer" ? h("mark", {}, said) : h(kind === "evidence" ? "span.evidence" : "span.soft", {}, said),
    ),
  );
  const quote = parts.filter(({ kind }) => kind !== "context").map(({ text: said }) => said).join("");
  const open = () => openSource(chosen.name, { document_id, name, start, end, quote }, { back: () => openRow(chosen, id) });
  return h(
    "section.block",
    {},
    h("h3", {}, `Evidence: ${name}`),
    !exact && notice({ message: "The document is missing or has changed.", hint: "The passage is shown as it was." }, "warn"),
    text,
    exact && button("file", "Open document", open),
  );
}

/** Scroll a passage to the answer, or to the beginning of the evidence. */
function showEvidence(passage) {
  const shown = passage.querySelector("mark") ?? passage.querySelector(".evidence");
  if (!shown) return;
  const apart = shown.getBoundingClientRect().top - passage.getBoundingClientRect().top;
  passage.scrollTop = apart - passage.clientHeight / 3;
}

function decisions(all) {
  const rounded = (value) => (value === null ? "" : value.toFixed(2));
  return h(
    "section.block",
    {},
    h("h3", {}, "Gates"),
    h(
      "div.scroller",
      { tabindex: 0, role: "region", "aria-label": "Gates" },
      h(
        "table.table",
        {},
        h("thead", {}, h("tr", {}, ["Gate", "Score", "Threshold", "Decision"].map((name) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          {},
          all.map(({ gate, score, threshold, kept, reason }) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, gate),
              h("td.number", {}, rounded(score)),
              h("td.number", {}, rounded(threshold)),
              h("td", {}, kept ? "Kept" : "Rejected", reason && h("div.soft.small", { dir: "auto" }, reason)),
            ),
          ),
        ),
      ),
    ),
  );
}

function edit(body, row, decide, cancel) {
  listen(() => false);
  const question = h("textarea", { rows: 3, value: row.question, required: true, dir: "auto" });
  const answer = h("textarea", { rows: 2, value: row.answer, required: true, dir: "auto" });
  const submit = (event) => {
    event.preventDefault();
    decide("keep", { question: question.value, answer: answer.value });
  };
  const keydown = (event) => {
    // Otherwise Esc would close the panel and lose what was written.
    if (event.key !== "Escape") return;
    event.stopPropagation();
    cancel();
  };
  const form = h(
    "form.cards.row-edit",
    { on: { submit, keydown }, "aria-label": "Edit the row" },
    h("label.row", {}, h("span", {}, "Question"), question),
    h("label.row", {}, h("span", {}, "Answer"), answer),
    row.needs_span && h("p.soft.small", {}, "The answer must be copied from the passage, letter by letter."),
    h("div.actions", {}, button(null, "Cancel", cancel), h("button.button.main", { type: "submit" }, "Save and keep")),
  );
  body.querySelector(".stick").replaceWith(form);
  question.focus();
}

/** Handle the keys of the view; they act only while its panel is shown and nobody is typing. */
function listen(action) {
  if (keys) document.removeEventListener("keydown", keys);
  const panel = document.getElementById("panel");
  const body = panel.querySelector(".panel-body");
  keys = (event) => {
    if (!body.isConnected || panel.hidden) {
      document.removeEventListener("keydown", keys);
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    if (action(event.key.toLowerCase())) event.preventDefault();
  };
  document.addEventListener("keydown", keys);
}
