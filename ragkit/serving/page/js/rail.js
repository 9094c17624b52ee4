// The rail on the left: what is asked, and the conversations there were.

import { get, patch, path, remove } from "./api.js";
import { askForCollection } from "./collections.js";
import { ask, confirm, problem } from "./dialogs.js";
import { arrowKeys, button, fill, h, icon } from "./dom.js";
import { openDocuments } from "./documents.js";
import { openExamples } from "./examples.js";
import { openRows } from "./rows.js";
import { openKeys, openSettings } from "./settings.js";
import { openStandings } from "./standings.js";
import { collection, current, may, on, prefer, tell, world } from "./state.js";
import { dayOf, timeOf } from "./times.js";

const rail = document.getElementById("rail");
const list = h("div.conversations", { id: "conversations" });
const chooser = h("select", { "aria-label": "Collection", on: { change: choose } });
const NEW = "/new";
const search = h("input.field", {
  type: "search",
  id: "search",
  placeholder: "Search conversations",
  "aria-label": "Search conversations",
  autocomplete: "off",
});
const rows = button("check", "Rows", () => openRows(), { hidden: true });
let asked = 0;

/** Draw the rail; `actions` has `fresh()`, which starts a conversation. */
export function startRail({ fresh }) {
  fill(
    rail,
    h("div.brand", {}, h("img", { src: "page/icon.svg", alt: "", width: 26, height: 26 }), h("span", {}, "ragkit")),
    chooser,
    button("plus", "New conversation", fresh, { id: "fresh" }),
    h("div.search", {}, icon("search"), search),
    list,
    h(
      "div.rail-foot",
      {},
      button("file", "Documents", () => openDocuments()),
      button("search", "Passages", () => openDocuments({ find: true })),
      button("star", "Examples", () => openExamples()),
      rows,
      button("ranking", "Leaderboard", () => openStandings()),
      button("settings", "Settings", () => openSettings()),
      button("keys", "Shortcuts", () => openKeys()),
    ),
  );
  arrowKeys(list, ".item > a");
  let wait = 0;
  search.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(refreshConversations, 150);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      list.querySelector(".item > a")?.focus();
    }
  });
  on("conversation", refreshConversations);
  on("world", drawChooser);
  on("prefs", drawRows);
  drawChooser();
}

function choose() {
  if (chooser.value !== NEW) {
    prefer("collection", chooser.value);
    return;
  }
  drawChooser();
  askForCollection();
}

/** Rows are generated and reviewed by people with write permission. */
function drawRows() {
  rows.hidden = !may("write");
}

function drawChooser() {
  drawRows();
  chooser.hidden = world.collections.length === 0;
  fill(
    chooser,
    world.collections.map(({ name, title }) => h("option", { value: name, selected: name === collection()?.name }, title)),
    world.me?.owner && h("option", { value: NEW }, "New collection…"),
  );
}

/** Ask for the conversations that fit what is searched for, and list them by day. */
async function refreshConversations() {
  const turn = ++asked;
  const query = search.value.trim();
  try {
    const { conversations } = await get(path(["conversations"], { query, limit: 200 }));
    if (turn === asked) draw(conversations, query);
  } catch (error) {
    // The banner reports an offline server, the dialog a missing token.
    if (turn === asked && !error.offline && error.status !== 401) fill(list, h("p.soft.small", {}, error.message));
  }
}

function draw(conversations, query) {
  if (!conversations.length) {
    fill(list, h("p.soft.small", {}, query ? "No conversations match." : "Your conversations appear here."));
    return;
  }
  const days = new Map();
  for (const each of conversations) {
    const day = dayOf(each.updated);
    days.set(day, [...(days.get(day) ?? []), each]);
  }
  fill(
    list,
    [...days].map(([day, each]) => [h("h2", {}, day), h("ul", { "aria-label": day }, each.map(item))]),
  );
}

function item(conversation) {
  const shown = conversation.id === current.conversation?.id;
  return h(
    `li.item${shown ? ".current" : ""}`,
    {},
    h(
      "a",
      { href: `#/${conversation.id}`, title: conversation.title, dir: "auto", ...(shown ? { "aria-current": "page" } : {}) },
      conversation.title || "Untitled",
    ),
    timeOf(conversation.updated),
    button("edit", `Rename “${conversation.title}”`, () => rename(conversation), { quiet: true }),
    button("trash", `Delete “${conversation.title}”`, () => forget(conversation), { quiet: true }),
  );
}

async function rename(conversation) {
  const title = await ask("Rename the conversation", { label: "Title", value: conversation.title });
  if (!title) return;
  try {
    await patch(path(["conversations", conversation.id]), { title });
    if (current.conversation?.id === conversation.id) current.conversation.title = title;
    tell("conversation");
  } catch (error) {
    problem(error);
  }
}

async function forget(conversation) {
  const text = `“${conversation.title}” and all its messages will be deleted permanently.`;
  if (!(await confirm("Delete the conversation?", text, "Delete"))) return;
  try {
    await remove(path(["conversations", conversation.id]));
    if (current.conversation?.id === conversation.id) location.hash = "#/";
    else tell("conversation");
  } catch (error) {
    problem(error);
  }
}
