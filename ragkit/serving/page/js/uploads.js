// Files: chosen or dropped, sent, and watched while they are read. The tray tells of each one what became of it.

import { ApiError, events, path, upload } from "./api.js";
import { problem } from "./dialogs.js";
import { button, fill, h, icon, say } from "./dom.js";
import { collection, may, on, tell } from "./state.js";

const tray = document.getElementById("tray");
const cover = document.getElementById("drop");
const input = h("input", { type: "file", multiple: true, hidden: true, id: "files", "aria-label": "Files to add" });

const STATES = {
  added: ["check", "Added and ready to search."],
  replaced: ["check", "Replaced the previous version."],
  unchanged: ["check", "Unchanged."],
  refused: ["warning", "Rejected"],
};
const STAGES = {
  read: "Reading",
  chunk: "Splitting into passages",
  embed: "Indexing",
  write: "Keeping",
};

/** Let files be dropped anywhere on the page. */
export function startUploads() {
  document.body.append(input);
  on("busy", (busy) => busy && tidy());
  input.addEventListener("change", () => {
    addFiles([...input.files]);
    input.value = "";
  });
  let depth = 0;
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const over = (shown) => {
    cover.hidden = !shown;
    const name = collection()?.name;
    const where = h("strong", {}, `Add to ${name ?? "your documents"}`);
    if (shown) fill(cover, icon("attach"), where, h("span.soft", {}, "Drop files anywhere."));
  };
  window.addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    if (++depth === 1) over(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (carries(event) && --depth === 0) over(false);
  });
  window.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    addFiles([...event.dataTransfer.files]);
  });
}

/** What went well has been seen by who asks the next question; what was refused stays until it is closed. */
function tidy() {
  for (const batch of tray.querySelectorAll(".batch.done.fine")) close(batch);
}

export function chooseFiles() {
  input.click();
}

/** Send files to the chosen collection and show how they fare. */
async function addFiles(files) {
  if (!files.length) return;
  const chosen = collection();
  if (!chosen) return problem(new ApiError("No collection selected.", "Create one first."));
  if (!may("write")) {
    return problem(new ApiError(`You have read-only access to ${chosen.name}.`, "Ask its owner for write permission."));
  }
  const batch = drawBatch(chosen.name, files);
  try {
    const { job } = await upload(path(["collections", chosen.name, "documents"]), files, batch.sent);
    batch.waiting();
    for await (const event of events("GET", path(["jobs", job, "events"]))) batch.take(event);
  } catch (error) {
    batch.failed(error);
  }
  batch.end();
  tell("contents");
}

function drawBatch(name, files) {
  const rows = files.map((file) => fileRow(file.name));
  const bar = h("progress", { value: 0, max: 1, "aria-label": "Upload progress" });
  const what = h("span.soft.small", {}, "Sending…");
  const title = h("strong", {}, files.length === 1 ? "One file" : `${files.length} files`, ` to ${name}`);
  const batch = h(
    "div.batch",
    {},
    h("header", {}, title, button("close", "Close", () => close(batch), { quiet: true })),
    what,
    bar,
    h("ul", { tabindex: 0, "aria-label": "Files" }, rows.map((row) => row.element)),
  );
  // The newest on top; batches that are done leave when a new one comes.
  for (const old of tray.querySelectorAll(".batch.done")) old.remove();
  tray.prepend(batch);
  tray.hidden = false;
  const counts = { added: 0, replaced: 0, unchanged: 0, refused: 0 };
  let failed = false;
  return {
    sent: (bytes, all) => {
      bar.value = all ? bytes / all : 0;
      what.textContent = `Sending: ${Math.round(100 * bar.value)} %`;
    },
    waiting: () => {
      bar.removeAttribute("value");
      what.textContent = "Waiting…";
      rows.forEach((row) => row.state("Waiting…"));
    },
    take: ({ event, data }) => {
      if (event === "progress") {
        const row = rows.find((each) => each.open);
        if (data.stage !== "files") {
          const share = data.total ? `: ${data.done} of ${data.total}` : "";
          row?.state(`${STAGES[data.stage] ?? data.stage}${share}`);
          return;
        }
        what.textContent = `Reading: ${data.done} of ${data.total}`;
        bar.value = data.done / data.total;
        row?.state("Reading");
      } else if (event === "file") {
        const row = rows.find((each) => each.open && each.name === data.name) ?? rows.find((each) => each.open);
        counts[data.status] = (counts[data.status] ?? 0) + 1;
        row?.done(data);
      } else if (event === "error") {
        throw new ApiError(data.message, data.hint, 500);
      }
    },
    failed: (error) => {
      failed = true;
      const why = { status: "refused", reason: error.message, hint: error.hint };
      rows.filter((row) => row.open).forEach((row) => row.done(why));
    },
    end: () => {
      batch.classList.add("done");
      batch.classList.toggle("fine", !failed && !counts.refused);
      bar.hidden = true;
      const read = counts.added + counts.replaced + counts.unchanged;
      what.textContent = [
        read && `${read} added`,
        (counts.refused || failed) && `${failed ? rows.length - read : counts.refused} rejected`,
      ]
        .filter(Boolean)
        .join(", ");
      say(`Files: ${what.textContent}.`);
    },
  };
}

function fileRow(name) {
  const state = h("span.state", {}, "Sending…");
  const element = h("li", {}, icon("file"), h("div", {}, h("div.name", { title: name }, name), state));
  const row = {
    element,
    name,
    open: true,
    state: (text) => (state.textContent = text),
    done: ({ status, reason, hint, name: shown }) => {
      row.open = false;
      const [sign, text] = STATES[status] ?? ["file", status];
      element.className = status;
      element.querySelector(".icon").replaceWith(icon(sign));
      if (shown) element.querySelector(".name").textContent = shown;
      if (status === "refused") fill(state, h("strong", {}, text), reason ? `: ${reason}` : "", hint ? ` ${hint}` : "");
      else state.textContent = text;
    },
  };
  return row;
}

function close(batch) {
  batch.remove();
  tray.hidden = !tray.querySelector(".batch");
}
