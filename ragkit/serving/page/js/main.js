// The beginning: who is asking, what there is, and the keys that work everywhere.

import { get, network } from "./api.js";
import { focusQuestion, putQuestion, startComposer } from "./composer.js";
import { login, notice } from "./dialogs.js";
import { fill, say } from "./dom.js";
import { startBack } from "./back.js";
import { closePanel } from "./panel.js";
import { startRail } from "./rail.js";
import { openKeys } from "./settings.js";
import { NARROW, collection, on, tell, world } from "./state.js";
import { showConversation, startThread, stop } from "./thread.js";
import { startUploads } from "./uploads.js";

const app = document.getElementById("app");
const banner = document.getElementById("banner");
const AGAIN = 2000;

function fresh() {
  app.classList.remove("drawer");
  if (location.hash !== "#/" && location.hash !== "") location.hash = "#/";
  else showConversation(null);
  focusQuestion();
}

function menu() {
  if (!NARROW.matches) {
    app.classList.toggle("without-rail");
    return;
  }
  const open = app.classList.toggle("drawer");
  if (open) document.querySelector("#rail select, #rail button")?.focus();
}

/** The conversation that the address names: `#/<id>`. Anything else behind a # is a place on the page. */
function shownId() {
  return location.hash.startsWith("#/") ? location.hash.slice(2) : "";
}

async function load() {
  const [{ collections }, models] = await Promise.all([get("api/collections"), get("api/models")]);
  world.collections = collections;
  world.models = models.models;
  world.modes = models.modes;
  world.defaultMode = models.default_mode;
  tell("world");
}

/** Ask who is asking; where a token is needed, until there is one. */
async function meet() {
  for (;;) {
    try {
      return await get("api/me");
    } catch (error) {
      if (error.status !== 401) throw error;
      await login();
    }
  }
}

function watchNetwork() {
  let waiting = 0;
  network.addEventListener("offline", () => {
    if (waiting) return;
    fill(banner, "The server does not respond. The page reconnects automatically.");
    waiting = setInterval(() => get("api/me").catch(() => {}), AGAIN);
  });
  network.addEventListener("online", () => {
    if (!waiting) return;
    clearInterval(waiting);
    waiting = 0;
    fill(banner);
    say("The server is available again.");
    // It may have been restarted, with other collections or models.
    load().catch(() => {});
  });
  let asking = false;
  network.addEventListener("login", async () => {
    // At the beginning `meet` asks; later a token may have been taken away.
    if (asking || !world.me) return;
    asking = true;
    await login();
    location.reload();
  });
}

function keys(event) {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  const open = document.querySelector("dialog[open]");
  if (open) return;
  if (event.key === "Escape") {
    if (app.classList.contains("drawer")) {
      app.classList.remove("drawer");
      document.getElementById("menu").focus();
    } else if (!stop()) closePanel();
  } else if ((event.key === "/" && !writing) || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
    event.preventDefault();
    app.classList.remove("without-rail");
    if (NARROW.matches) app.classList.add("drawer");
    document.getElementById("search").focus();
  } else if (event.key === "?" && !writing) openKeys();
  else if (event.altKey && event.key.toLowerCase() === "n") {
    event.preventDefault();
    fresh();
  }
}

async function start() {
  watchNetwork();
  world.me = await meet();
  await load();
  startThread({ menu, put: putQuestion, newConversation: fresh });
  startRail({ fresh });
  startComposer();
  startUploads();
  startBack();
  // Added or removed documents change the description of a collection.
  on("contents", () => load().catch(() => {}));
  window.addEventListener("hashchange", () => {
    app.classList.remove("drawer");
    showConversation(shownId());
  });
  document.addEventListener("keydown", keys);
  // The address goes on naming the conversation that is shown.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    focusQuestion();
  });
  document.getElementById("main").addEventListener("click", (event) => {
    if (app.classList.contains("drawer") && !event.target.closest("#menu")) app.classList.remove("drawer");
  });
  await showConversation(shownId());
  if (!NARROW.matches && collection()) focusQuestion();
}

start().catch((error) => {
  fill(document.getElementById("thread"), notice(error));
});
