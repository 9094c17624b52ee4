// Files and folders: chosen or dropped, sent in portions that the server takes, and watched while they are read.

import { ApiError, events, path, upload } from "./api.js";
import { problem } from "./dialogs.js";
import { fill, h, icon } from "./dom.js";
import { droppedFiles, folderFiles, unreadable } from "./dropped.js";
import { collection, may, on, tell, world } from "./state.js";
import { drawBatch, tidy } from "./tray.js";

const cover = document.getElementById("drop");
const input = h("input", { type: "file", multiple: true, hidden: true, id: "files", "aria-label": "Files to add" });
const folder = h("input", { type: "file", multiple: true, hidden: true, webkitdirectory: true, "aria-label": "Folder to add" });

/** Let files and folders be dropped anywhere on the page. */
export function startUploads() {
  document.body.append(input, folder);
  on("busy", (busy) => busy && tidy());
  input.addEventListener("change", () => {
    addFiles({ files: [...input.files] });
    input.value = "";
  });
  folder.addEventListener("change", () => {
    addFiles(folderFiles([...folder.files]));
    folder.value = "";
  });
  let depth = 0;
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const over = (shown) => {
    cover.hidden = !shown;
    const name = collection()?.title;
    const where = h("strong", {}, `Add to ${name ?? "your documents"}`);
    if (shown) fill(cover, icon("attach"), where, h("span.soft", {}, "Drop files or folders anywhere."));
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
  window.addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    addFiles(await droppedFiles(event.dataTransfer));
  });
}

export function chooseFiles() {
  input.click();
}

export function chooseFolder() {
  folder.click();
}

/** Send files to the chosen collection and show how they fare. */
async function addFiles({ files, unread = [], hidden = 0 }) {
  const chosen = collection();
  if (!chosen) return problem(new ApiError("No collection selected.", "Create one first."));
  if (!may("write")) {
    return problem(new ApiError(`You have read-only access to ${chosen.title}.`, "Ask its owner for write permission."));
  }
  if (!files.length && !unread.length) {
    return hidden ? problem(new ApiError("The folder has only hidden files.", "Choose the files themselves.")) : null;
  }
  const items = await Promise.all(files.map(async (file) => ({ name: file.name, file, reason: await reasonNot(file) })));
  const batch = drawBatch(chosen.title, [...items, ...unread], {
    hidden,
    unlock: (rows, password) => deliver(chosen.name, batch, rows, password),
  });
  await deliver(chosen.name, batch, batch.rows.filter((row) => row.open));
}

async function reasonNot(file) {
  const most = world.me.limits.file_bytes;
  return file.size > most ? `It is larger than ${Math.floor(most / 2 ** 20)} MB.` : unreadable(file);
}

/** Send the files of some rows, and follow the job that reads them. */
async function deliver(name, batch, rows, password = null) {
  batch.begin();
  for (const portion of portions(rows)) {
    portion.forEach((row) => row.state("Sending…"));
    try {
      const files = portion.map((row) => row.file);
      const { job } = await upload(path(["collections", name, "documents"]), files, { password, onProgress: batch.sent });
      batch.waiting(portion);
      for await (const event of events("GET", path(["jobs", job, "events"]))) {
        if (event.event === "error") throw new ApiError(event.data.message, event.data.hint, 500);
        batch.take(event, portion);
      }
      failed(portion, new ApiError("The server stopped before it read the file.", "Upload it again."));
    } catch (error) {
      failed(portion, error);
    }
  }
  batch.end();
  tell("contents");
}

/** Whatever has no result by now has failed. */
function failed(rows, error) {
  const why = { status: "refused", reason: error.message, hint: error.hint };
  rows.filter((row) => row.open).forEach((row) => row.done(why));
}

/** Cut rows into as many as a request may hold. */
function portions(rows) {
  const { files: most, upload_bytes: bytes } = world.me.limits;
  const all = [];
  let size = Infinity;
  for (const row of rows) {
    // What multipart adds to a file is less than a kilobyte.
    const needed = row.file.size + 1024;
    if (size + needed > bytes || all.at(-1).length >= most) {
      all.push([]);
      size = 0;
    }
    all.at(-1).push(row);
    size += needed;
  }
  return all;
}
