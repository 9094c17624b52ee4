// What is in the collection: listed, searched, opened, added, removed; and its passages, found without a model.

import { get, path, remove } from "./api.js";
import { confirm, notice, problem } from "./dialogs.js";
import { arrowKeys, button, count, fill, h, icon, say } from "./dom.js";
import { openPanel } from "./panel.js";
import { openSource } from "./source.js";
import { collection, may, on, tell } from "./state.js";
import { chooseFiles } from "./uploads.js";
import { hits } from "./why.js";

export const FORMATS = "PDF, Word, HTML, EPUB, mail, Markdown, text, code, CSV, JSON and more";
const PAGE = 50;
let redraw = null;

on("contents", () => redraw?.());

/** Open the list of documents; `find` goes to the search for passages, `query` makes one. */
export function openDocuments({ find = false, query = "" } = {}) {
  const chosen = collection();
  if (!chosen) return openPanel("Documents", (body) => fill(body, h("p", {}, "No collections yet.")));
  return openPanel(
    `Documents of ${chosen.name}`,
    (body) => {
      const field = h("input.field", {
        type: "search",
        placeholder: "Search names",
        "aria-label": "Search documents by name",
        on: { input: () => list(0) },
      });
      const passages = passageSearch(chosen.name, query);
      const documents = h("ul.documents", { "aria-label": "Documents" });
      const more = h("div.bar");
      arrowKeys(documents, ".open");
      let turn = 0;
      async function list(offset) {
        const now = ++turn;
        try {
          const query = { query: field.value.trim(), limit: PAGE, offset };
          const page = await get(path(["collections", chosen.name, "documents"], query));
          if (now !== turn) return;
          if (!offset) documents.replaceChildren();
          documents.append(...page.documents.map((each) => row(chosen.name, each)));
          const left = page.total - offset - page.documents.length;
          fill(
            more,
            page.total === 0 && h("p.soft", {}, query.query ? "No documents match." : "No documents yet."),
            left > 0 && button(null, `${left} more`, () => list(offset + page.documents.length)),
          );
        } catch (error) {
          if (now === turn) fill(more, notice(error));
        }
      }
      redraw = () => list(0);
      const listed = h("section.block", {}, h("h3", {}, "Documents"), field, documents, more);
      fill(body, passages.element, may("write") && dropzone(), listed);
      if (find) passages.field.focus();
      return list(0);
    },
    { onClose: () => (redraw = null) },
  );
}

function dropzone() {
  return h(
    "div.dropzone.block",
    {},
    h("span", {}, "Drop files anywhere on this page, or"),
    button("attach", "Choose files", chooseFiles),
    h("span.tiny", {}, FORMATS),
  );
}

function row(name, document_) {
  const { pages, chunks, characters } = document_;
  const size = pages ? count(pages, "page") : count(characters, "character");
  const facts = [document_.name !== document_.title && document_.name, size, count(chunks, "passage")];
  const place = { document_id: document_.id, title: document_.title };
  const open = () => openSource(name, place, { back: () => openDocuments() });
  return h(
    "li",
    {},
    icon("file"),
    h(
      "button.open",
      { type: "button", on: { click: open } },
      h("strong", {}, document_.title || document_.name),
      h("span.soft.tiny", {}, facts.filter(Boolean).join(" · ")),
    ),
    may("write") && button("trash", `Remove “${document_.name || document_.title}”`, take, { quiet: true }),
  );

  async function take() {
    // A row of a table goes with its table: the file is what was added, and what is removed.
    const what = `“${document_.name}” and its passages`;
    const text = `${what} will be removed from ${name}. Answers that cite it can no longer show it.`;
    if (!(await confirm("Remove the document?", text, "Remove"))) return;
    try {
      await remove(path(["collections", name, "documents", document_.id], { whole_file: true }));
      say("Removed.");
      tell("contents");
    } catch (error) {
      problem(error);
    }
  }
}

function passageSearch(name, before) {
  const field = h("input.field", {
    type: "search",
    value: before,
    placeholder: "Search passages",
    "aria-label": "Search passages",
  });
  const found = h("div.block", { "aria-live": "polite", hidden: true });
  const form = h("form", { role: "search", on: { submit } }, field);
  async function submit(event) {
    event?.preventDefault();
    const query = field.value.trim();
    found.hidden = !query;
    if (!query) return;
    try {
      const { hits: all, seconds } = await get(path(["collections", name, "search"], { query, k: 10 }));
      fill(
        found,
        h("p.soft.small", {}, all.length ? `${all.length} in ${Math.round(seconds * 1000)} ms` : "No results."),
        hits(all, name, () => openDocuments({ query })),
      );
    } catch (error) {
      fill(found, notice(error));
    }
  }
  if (before) submit();
  return { element: h("div", {}, form, found), field };
}
