// The view before the first question: what is in the collection, and what can be done with it.

import { get, path } from "./api.js";
import { makeCollection } from "./collections.js";
import { count, fill, h, icon } from "./dom.js";
import { FORMATS, openDocuments } from "./documents.js";
import { collection, may, world } from "./state.js";
import { chooseFiles } from "./uploads.js";

/** Make the empty state; `put` puts a question into the composer. */
export function emptyView({ put }) {
  const place = collection();
  if (!place) return noCollection();
  const element = h("div.empty");
  if (place.problem) {
    fill(element, head(`${place.title} can't be read`, [place.problem.message, place.problem.hint].filter(Boolean).join(" ")));
    return element;
  }
  if (!place.documents) {
    fill(
      element,
      head(`${place.title} is empty`, may("write") ? "Drop files or folders anywhere on this page to add them." : ""),
      may("write") && h("div.suggestions", {}, suggestion("attach", "Choose files", FORMATS, chooseFiles)),
    );
    return element;
  }
  const questions = h("div.suggestions.questions");
  fill(
    element,
    head(
      `Ask ${place.title}`,
      `${count(place.files, "file")}, ${count(place.chunks, "passage")}. `,
      "Answers cite their sources. Click a citation to open the page with the quote highlighted.",
    ),
    questions,
    h(
      "div.suggestions",
      {},
      suggestion("file", "Browse documents", "Titles, pages and text", () => openDocuments()),
      suggestion("search", "Search passages", "Fast, without a model", () => openDocuments({ find: true })),
      may("write") && suggestion("attach", "Add files", "Or drop them anywhere on this page", chooseFiles),
    ),
  );
  suggest(place.name, questions, put);
  return element;
}

function head(title, ...lead) {
  return h("div", {}, h("h2", {}, title), h("p.lead", {}, lead));
}

function suggestion(name, title, text, onclick) {
  return h("button", { type: "button", on: { click: onclick } }, h("strong", {}, icon(name), title), h("span", {}, text));
}

/** Offer questions about sections that are really there; without any the page does well, too. */
async function suggest(name, place, put) {
  try {
    const { documents } = await get(path(["collections", name, "documents"], { limit: 30 }));
    const whole = await Promise.all(
      documents
        .filter((each) => each.characters > 400)
        .slice(0, 3)
        .map((each) => get(path(["collections", name, "documents", each.id]))),
    );
    for (const { title: called, headings } of whole) {
      const sections = headings.filter(({ title }) => title !== called && title.length < 60);
      const section = sections[Math.floor(sections.length / 2)]?.title.replace(/^[\d.]+\s+/, "");
      if (!section) continue;
      const question = `What does “${called}” say about “${section}”?`;
      const onclick = { type: "button", on: { click: () => put(question) } };
      place.append(h("button.asks", onclick, icon("ask"), h("span", { dir: "auto" }, question)));
    }
  } catch {
    // Suggestions are optional: the error is shown with the next question.
  }
}

function noCollection() {
  const field = h("input.field", { required: true, placeholder: "handbook", maxlength: 64 });
  const submit = (event) => {
    event.preventDefault();
    makeCollection(field.value.trim());
  };
  const owner = world.me?.owner;
  return h(
    "div.empty",
    {},
    owner
      ? head("Create your first collection", "A collection is a set of documents that you search together.")
      : head("No collections yet", "Ask the server's owner for read permission on a collection."),
    owner &&
      h(
        "form.bar",
        { on: { submit } },
        h("label.row", {}, h("span", {}, "Collection name"), field),
        h("button.button.main", { type: "submit" }, "Create"),
      ),
  );
}
