// Generation of rows: a form that starts a run, its progress, and the result of the last one.

import { get, path, post, remove } from "./api.js";
import { notice, problem } from "./dialogs.js";
import { button, count, fill, h, say } from "./dom.js";
import { chosen, models } from "./state.js";

const EVERY = 1000;
const KINDS = {
  number: ["Questions", 1, "With an answer in one passage"],
  multi_hop: ["Over two passages", 0, "Further rows that need both"],
  follow_ups: ["Follow-ups", 0, "Further rows that continue a conversation"],
  unanswerable: ["Unanswerable", 0, "Further rows that the documents do not answer"],
};
const ENDS = { done: "Last run", stopped: "Stopped", failed: "The last run failed" };

/**
 * Make the section for generation.
 * @param {string} name of the collection.
 * @param {object} state as the server told.
 * @param {() => boolean} still whether the panel still shows the section.
 * @param {() => void} ended is called when a run has ended.
 */
export function generation(name, state, still, ended) {
  if (!state.available) return null;
  const url = path(["collections", name, "generation"]);
  const section = h("section.generation.block", { "aria-label": "Generate rows" });

  function draw({ run, job, stopping }) {
    if (job) return drawRun(run, job, stopping);
    const failed = run?.state === "failed";
    const last = run && !failed && `${ENDS[run.state]} (${run.model}): ${run.note || `${count(run.delivered, "row")}.`}`;
    const form = drawForm(run);
    const open = !run || failed;
    form.hidden = !open;
    // What is folded away keeps its place in the layout, where checkers of contrast find it over the rows.
    const toggle = (event) => (form.hidden = !event.target.open);
    return fill(
      section,
      failed && notice({ message: `${ENDS.failed}.`, hint: run.note }),
      last && h("p.soft.small", {}, last),
      h("details", { open, on: { toggle } }, h("summary", {}, "Generate rows"), form),
    );
  }

  function drawForm(run) {
    const usable = models().filter(({ kind }) => kind !== "none");
    if (!usable.length) return h("p.soft", {}, "Generating rows requires a language model, and the server has none.");
    const fields = Object.entries(KINDS).map(([key, [label, min, hint]]) => {
      const input = h("input.field", {
        type: "number",
        name: key,
        min,
        max: 10000,
        value: run?.[key] ?? (key === "number" ? 100 : 0),
        required: true,
      });
      return h("label.row", { title: hint }, h("span", {}, label), input);
    });
    const wanted = run?.model ?? chosen().model;
    const model = h(
      "select",
      { name: "model" },
      usable.map((each) => h("option", { value: each.name, selected: each.name === wanted }, each.name)),
    );
    const submit = async (event) => {
      event.preventDefault();
      const numbers = Object.keys(KINDS).map((key) => [key, Number(event.target.elements[key].value)]);
      try {
        await post(url, { ...Object.fromEntries(numbers), model: model.value });
        say("Generation started.");
        await follow();
      } catch (error) {
        problem(error);
      }
    };
    return h(
      "form.cards",
      { on: { submit } },
      h("div.numbers", {}, fields),
      h("label.row", {}, h("span", {}, "Model"), model),
      run && h("p.soft.small", {}, "The new rows replace those of the last run that nobody has reviewed."),
      h("div.actions", {}, h("button.button.main", { type: "submit" }, run?.state === "stopped" ? "Continue" : "Generate")),
    );
  }

  function drawRun(run, { state: at, progress }, stopping) {
    const done = progress?.done ?? 0;
    const text = stopping
      ? "Stopping after the questions in progress…"
      : at === "waiting" || !progress
        ? `Starting ${run.model}…`
        : `${done.toLocaleString()} of ${count(run.number, "question")}`;
    const shown = section.querySelector(".running");
    if (shown) {
      // The button keeps the focus.
      shown.querySelector("p").textContent = text;
      shown.querySelector("progress").value = done;
      shown.querySelector("button").disabled = stopping;
      return shown;
    }
    const stop = async () => {
      try {
        await remove(url);
        say("Stopping.");
        draw(await get(url));
      } catch (error) {
        problem(error);
      }
    };
    return fill(
      section,
      h(
        "div.cards.running",
        {},
        h("p", { role: "status" }, text),
        h("progress", { value: done, max: run.number, "aria-label": "Progress of the generation" }),
        h("div.actions", {}, button("stop", "Stop", stop, { disabled: stopping })),
      ),
    );
  }

  /** Show the run until it ends; a server that restarts continues it. */
  async function follow() {
    for (;;) {
      try {
        const now = await get(url);
        if (!still()) return;
        if (!now.job) {
          say("Generation ended.");
          ended();
          return;
        }
        draw(now);
      } catch (error) {
        if (!still()) return;
        if (!error.offline) return fill(section, notice(error));
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      if (!still()) return;
    }
  }

  draw(state);
  if (state.job) follow();
  return section;
}
