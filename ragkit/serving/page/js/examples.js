// Answered questions that chat is shown: kept with the collection, listed, added, removed.

import { get, path, post, remove } from "./api.js";
import { notice, problem } from "./dialogs.js";
import { button, fill, h, say } from "./dom.js";
import { openPanel } from "./panel.js";
import { collection, may, tell } from "./state.js";

export function openExamples() {
  const chosen = collection();
  return openPanel("Examples", async (body, still) => {
    if (!chosen) return fill(body, h("p", {}, "No collections yet."));
    const url = (...rest) => path(["collections", chosen.name, "examples", ...rest]);
    const list = h("ul.cards.block", { "aria-label": "Examples" });
    const draw = async () => {
      const { examples } = await get(url());
      if (!still()) return;
      fill(
        list,
        examples.length ? examples.map((each) => card(each, url, draw)) : h("li.soft", {}, "No examples yet."),
      );
    };
    fill(
      body,
      h(
        "p.soft",
        {},
        `Answered questions for ${chosen.title}. In chat mode, the model can see the most similar ones and follow their `,
        "style. Choose how many below the question. The star below an answer adds one.",
      ),
      may("write") && form(url, draw),
      list,
    );
    try {
      await draw();
    } catch (error) {
      if (still()) fill(list, h("li", {}, notice(error)));
    }
    return null;
  });
}

function card(example, url, draw) {
  const take = async () => {
    try {
      await remove(url(example.id));
      say("Removed.");
      await draw();
    } catch (error) {
      problem(error);
    }
  };
  return h(
    "li.card",
    {},
    h(
      "header",
      {},
      h("span", {}, example.input),
      h("span.gap"),
      may("write") && button("trash", `Remove the example “${example.input}”`, take, { quiet: true }),
    ),
    h("p.soft", {}, example.output),
  );
}

function form(url, draw) {
  const input = h("input.field", { required: true });
  const output = h("textarea", { rows: 2, required: true });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post(url(), { input: input.value.trim(), output: output.value.trim() });
      event.target.reset();
      say("Added.");
      tell("contents");
      await draw();
    } catch (error) {
      problem(error);
    }
  };
  return h(
    "form.cards.block",
    { on: { submit }, "aria-label": "Add an example" },
    h("label.row", {}, h("span", {}, "Question"), input),
    h("label.row", {}, h("span", {}, "Expected answer"), output),
    h("div.actions", {}, h("button.button", { type: "submit" }, "Add example")),
  );
}
