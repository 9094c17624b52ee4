// What is in the collection: listed, searched, opened, added, removed; and its passages, found without a model.

import { get, path, remove } from "./api.js";
import { confirm, notice, problem } from "./dialogs.js";
import { arrowKeys, button, count, fill, h, icon, say } from "./dom.js";
import { openPanel } from "./panel.js";
import { openSource } from "./source.js";
import { collection, may, on, tell } from "./state.js";
import { chooseFiles, chooseFolder } from "./uploads.js";
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
    `Documents of ${chosen.title}`,
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
          const page = await get(path(["collections", chosen.name, "files"], query));
          if (now !== turn) return;
          if (!offset) documents.replaceChildren();
          documents.append(...page.files.map((each) => row(chosen, each)));
          const left = page.total - offset - page.files.length;
          fill(
            more,
            page.total === 0 && h("p.soft", {}, query.query ? "No documents match." : "No documents yet."),
            left > 0 && button(null, `${left} more`, () => list(offset + page.files.length)),
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
    h("span", {}, "Drop files or folders anywhere on this page, or"),
    h("div.actions", {}, button("attach", "Choose files", chooseFiles), button("attach", "Choose a folder", chooseFolder)),
    h("span.tiny", {}, FORMATS),
  );
}

/** A file of the list. One with several documents, such as the rows of a table, opens to show them. */
function row(chosen, file) {
  const { name } = chosen;
  const single = file.documents === 1;
  const size = file.pages ? count(file.pages, "page") : count(file.characters, "character");
  const facts = [file.name !== file.title && file.name, single ? size : count(file.documents, "document"), count(file.chunks, "passage")];
  const members = h("ul.members", { hidden: true, "aria-label": `Documents of ${file.name}` });
  const opener = opens(file.title, facts, single ? () => open(name, file) : unfold, single ? {} : { "aria-expanded": "false" });
  return h(
    "li",
    {},
    icon(single ? "file" : "right"),
    opener,
    may("write") && button("trash", `Remove “${file.name || file.title}”`, () => take(chosen, file), { quiet: true }),
    !single && members,
  );

  function unfold() {
    members.hidden = !members.hidden;
    opener.setAttribute("aria-expanded", String(!members.hidden));
    if (!members.hidden && !members.childElementCount) listMembers(name, file, members, 0);
  }
}

function opens(title, facts, onclick, options = {}) {
  const shown = facts.filter(Boolean).join(" · ");
  return h(
    "button.open",
    { type: "button", on: { click: onclick }, ...options },
    h("strong", { dir: "auto" }, title),
    h("span.soft.tiny", {}, shown),
  );
}

function open(name, document_) {
  const place = { document_id: document_.id, title: document_.title };
  return openSource(name, place, { back: () => openDocuments() });
}

/** List the documents of one file, in their order. */
async function listMembers(name, file, list, offset) {
  try {
    const page = await get(path(["collections", name, "documents"], { file: file.id, limit: PAGE, offset }));
    const left = page.total - offset - page.documents.length;
    const next = () => (more.remove(), listMembers(name, file, list, offset + page.documents.length));
    const more = h("li", {}, button(null, `${left} more`, next));
    const each = (one) => h("li", {}, opens(one.title || one.name, [count(one.characters, "character")], () => open(name, one)));
    list.append(...page.documents.map(each), ...(left > 0 ? [more] : []));
  } catch (error) {
    fill(list, h("li", {}, notice(error)));
  }
}

async function take(chosen, file) {
  // A row of a table goes with its table: the file is what was added, and what is removed.
  const what = `“${file.name}” and its passages`;
  const text = `${what} will be removed from ${chosen.title}. Answers that cite it can no longer show it.`;
  if (!(await confirm("Remove the document?", text, "Remove"))) return;
  try {
    await remove(path(["collections", chosen.name, "documents", file.id], { whole_file: true }));
    say("Removed.");
    tell("contents");
  } catch (error) {
    problem(error);
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
