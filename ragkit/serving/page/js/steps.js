// Answers in several steps: what is done now, and calls that wait for the person's decision.

import { problem } from "./dialogs.js";
import { button, h, icon, say } from "./dom.js";

/** What happens after a step has ended, in words. */
export function stepStatus({ kind, title, output }) {
  if (kind === "propose") return output === "no call" || output === "no further call" ? "Answering…" : "Calling a tool…";
  if (kind === "call") return `Result of ${title}…`;
  if (kind === "direct") return "Writing a plan…";
  if (kind === "plan" || kind === "quote") return "Running the plan…";
  return `${title}…`;
}

/**
 * The calls of one answer that wait for a decision, or were decided.
 * @param {(call: string, allow: boolean) => Promise} decide sends a decision to the server.
 */
export function callsView(decide) {
  const element = h("div.calls");
  const waiting = new Map();

  function ask({ id, tool, purpose, arguments: given }) {
    const send = async (allow) => {
      for (const each of controls) each.disabled = true;
      try {
        await decide(id, allow);
      } catch (error) {
        for (const each of controls) each.disabled = false;
        problem(error);
      }
    };
    const controls = [
      button(null, "Refuse", () => send(false)),
      button(null, "Allow", () => send(true), { kind: "main" }),
    ];
    const box = h(
      "div.call",
      { role: "group", "aria-label": `Decide about ${tool}` },
      h("p", {}, h("strong", {}, tool), " changes something. Allow this call?"),
      purpose && h("p.soft.small", { dir: "auto" }, purpose),
      h(
        "dl.facts",
        {},
        Object.entries(given).map(([name, value]) => [h("dt", {}, name), h("dd.value", { dir: "auto" }, value)]),
      ),
      h("div.actions", {}, h("span.gap"), controls),
    );
    waiting.set(id, box);
    element.append(box);
    say(`${tool} changes something. Allow or refuse the call.`);
  }

  function decided({ id, tool, allowed, reason }) {
    const text = allowed ? `You allowed ${tool}.` : `${tool} was refused: ${reason}.`;
    const note = h("p.note", {}, icon(allowed ? "check" : "close"), h("span", {}, text));
    waiting.get(id)?.replaceWith(note);
    waiting.delete(id);
    say(text);
  }

  /** What still waits can't be decided any more. */
  function end() {
    for (const box of waiting.values()) box.remove();
    waiting.clear();
  }
  return { element, ask, decided, end };
}
