// The tray: what became of each file that was sent.

import { ask } from "./dialogs.js";
import { button, count, fill, h, icon, say } from "./dom.js";

const tray = document.getElementById("tray");
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

/** Remove what went well: who asks the next question has seen it. What was refused stays until it is closed. */
export function tidy() {
  for (const batch of tray.querySelectorAll(".batch.done.fine")) close(batch);
}

/**
 * Show files that are sent to a collection.
 * @param {string} name of the collection.
 * @param {{name: string, file?: File, reason?: string}[]} items with a `reason` where they are not sent.
 * @param {object} options `hidden`: how many files of folders were left out; `unlock(rows, password)` sends again what
 *   a password may open.
 */
export function drawBatch(name, items, { hidden = 0, unlock }) {
  const bar = h("progress", { value: 0, max: 1, "aria-label": "Upload progress" });
  const what = h("span.soft.small", {}, "Sending…");
  const left = hidden > 0 && h("span.soft.small", {}, `${count(hidden, "hidden entry", "hidden entries")} skipped.`);
  const rows = items.map((item) => fileRow(item, () => open()));
  const title = h("strong", {}, items.length === 1 ? "One file" : `${items.length} files`, ` to ${name}`);
  const element = h(
    "div.batch",
    {},
    h("header", {}, title, button("close", "Close", () => close(element), { quiet: true })),
    what,
    left,
    bar,
    h("ul", { tabindex: 0, "aria-label": "Files" }, rows.map((row) => row.element)),
  );
  tidy();
  tray.prepend(element);
  tray.hidden = false;

  /** Ask for the password, and try it on all files that one may open. */
  async function open() {
    const locked = rows.filter((row) => row.locked);
    const called = locked.length === 1 ? `“${locked[0].name}”` : `${locked.length} files`;
    const hint = "It is used once and not stored.";
    const password = await ask(`Password for ${called}`, { label: "Password", yes: "Open", type: "password", hint });
    if (password !== null) await unlock(locked, password);
  }

  return {
    rows,
    begin: () => {
      element.classList.remove("done");
      bar.hidden = false;
    },
    sent: (bytes, all) => {
      bar.value = all ? bytes / all : 0;
      what.textContent = `Sending: ${Math.round(100 * bar.value)} %`;
    },
    waiting: (sent) => {
      bar.removeAttribute("value");
      what.textContent = "Waiting…";
      sent.forEach((row) => row.state("Waiting…"));
    },
    /** Take an event of the job that reads the `sent` rows. */
    take: ({ event, data }, sent) => {
      const next = sent.find((each) => each.open);
      if (event === "progress" && data.stage === "files") {
        what.textContent = `Reading: ${data.done} of ${data.total}`;
        bar.value = data.done / data.total;
        next?.state("Reading");
      } else if (event === "progress") {
        const share = data.total ? `: ${data.done} of ${data.total}` : "";
        next?.state(`${STAGES[data.stage] ?? data.stage}${share}`);
      } else if (event === "file") {
        (sent.find((each) => each.open && each.name === data.name) ?? next)?.done(data);
      }
    },
    end: () => {
      const refused = rows.filter((row) => row.status === "refused").length;
      element.classList.add("done");
      element.classList.toggle("fine", !refused);
      bar.hidden = true;
      const added = rows.length - refused;
      what.textContent = [added && `${added} added`, refused && `${refused} rejected`].filter(Boolean).join(", ");
      say(`Files: ${what.textContent}.`);
    },
  };
}

function fileRow({ name, file = null, reason = "" }, unlock) {
  const state = h("span.state", {}, "Sending…");
  const called = h("div.name", { title: name, dir: "auto" }, name);
  const element = h("li", {}, icon("file"), h("div", {}, called, state));
  const row = {
    element,
    name,
    file,
    open: true,
    status: "",
    locked: false,
    state: (text) => {
      row.open = true;
      element.className = "";
      state.textContent = text;
    },
    done: ({ status, reason: why, hint, locked = false, name: shown }) => {
      Object.assign(row, { open: false, status, locked });
      const [sign, text] = STATES[status] ?? ["file", status];
      element.className = status;
      element.querySelector(".icon").replaceWith(icon(sign));
      if (shown) called.textContent = shown;
      fill(state, status === "refused" ? h("strong", {}, text) : text);
      if (why) state.append(status === "refused" ? `: ${why}` : ` ${why}`);
      if (locked) state.append(" ", h("button.link", { type: "button", on: { click: unlock } }, "Enter password"));
      else if (hint) state.append(` ${hint}`);
    },
  };
  if (reason) row.done({ status: "refused", reason });
  return row;
}

function close(batch) {
  batch.remove();
  tray.hidden = !tray.querySelector(".batch");
}
