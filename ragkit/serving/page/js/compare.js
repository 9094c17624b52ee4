// Two answers to one question, side by side; what made them is told only with the vote.

import { ApiError, events, get, path, post } from "./api.js";
import { notice, problem } from "./dialogs.js";
import { button, fill, h, say } from "./dom.js";
import { answerView, pendingView } from "./message.js";
import { configName } from "./state.js";

const VOTES = [
  ["a", "Left is better", "1"],
  ["b", "Right is better", "2"],
  ["tie", "Both are as good", "="],
  ["neither", "Neither is good", "0"],
];
const question = () => document.getElementById("question");
const UNASKED =
  "Now and then you are shown two answers: which you find better teaches the assistant. Settings can switch this off.";

/**
 * Ask for two answers.
 * @param {object} run knows the collection; its `stop` ends both.
 * @param {object} json the question and the two configurations.
 * @param {{asked: boolean, retry: (question: string) => void}} options `asked`: whether the person wanted two, or is
 *   shown them now and then.
 */
export function compareView(run, json, { asked, retry }) {
  const sides = Object.fromEntries(["a", "b"].map((side) => [side, sideView(side)]));
  const vote = h("div.vote");
  const why = !asked && h("p.note", {}, UNASKED);
  const element = h("div.comparison", {}, why, h("div.pair", {}, sides.a.element, sides.b.element), vote);
  const chosenFrom = { id: null };

  async function done(onConversation) {
    try {
      const stream = events("POST", path(["collections", run.collection, "comparisons"]), { json, signal: run.stop.signal });
      for await (const { event, data } of stream) {
        if (event === "started") chosenFrom.id = data.id;
        else if (event === "conversation") onConversation(data);
        else if (event === "error" && !data.side) throw new ApiError(data.message, data.hint, 500);
        else if (data.side) sides[data.side].take({ event, data });
      }
      if (sides.a.finished && sides.b.finished) askForVote();
      else fill(vote, h("p", {}, "One of the two did not come, so there is nothing to rank."));
    } catch (error) {
      sides.a.end();
      sides.b.end();
      fill(vote, error.name === "AbortError" ? h("p", {}, "Stopped; nothing to rank.") : notice(error));
    }
  }

  function askForVote() {
    const buttons = VOTES.map(([winner, label, key]) => {
      const each = button(null, label, () => cast(winner), { "aria-keyshortcuts": key });
      each.append(h("kbd", { "aria-hidden": "true" }, key));
      return each;
    });
    const group = h("div.tools", { role: "group", tabindex: -1, "aria-label": "Which answer is better?" }, buttons);
    fill(vote, h("p", {}, "Which answer is better?"), group);
    document.addEventListener("keydown", byKey);
    // The keys vote at once, except for who is writing the next question by now.
    if (document.activeElement === question() && !question().value) group.focus();
    say("Two answers are here. Which is better? Press 1, 2, = or 0.");
  }

  function byKey(event) {
    if (!element.isConnected) {
      document.removeEventListener("keydown", byKey);
      return;
    }
    const writing = event.target.closest?.("input, textarea, select, dialog");
    const found = VOTES.find(([, , key]) => key === event.key);
    if (!found || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    cast(found[0]);
  }

  async function cast(winner) {
    document.removeEventListener("keydown", byKey);
    if (vote.contains(document.activeElement)) question().focus();
    try {
      const configs = await post(path(["comparisons", chosenFrom.id, "vote"]), { winner });
      for (const side of ["a", "b"]) sides[side].reveal(configName(configs[side]), winner === side);
      await showKept();
      fill(vote, h("p", {}, "Kept, thank you. Standings tell how each way fares."));
      say(`Kept. Left was ${configName(configs.a)}, right was ${configName(configs.b)}.`);
    } catch (error) {
      problem(error);
      if (error.offline) askForVote();
    }
  }

  /** One of the two stays in the conversation; from now on it is an answer like any other. */
  async function showKept() {
    const conversation = await get(path(["conversations", run.conversation])).catch(() => null);
    const kept = conversation?.messages.at(-1);
    for (const side of Object.values(sides)) if (kept && side.shows(kept.id)) side.show(answerView(kept, { retry }));
  }

  return { element, done };
}

function sideView(side) {
  const called = side === "a" ? "Left" : "Right";
  const heading = h("h3", {}, called);
  const pending = pendingView(`${called} answer`);
  const element = h("section", { "aria-label": `${called} answer` }, heading, pending.element);
  return {
    element,
    finished: false,
    take({ event, data }) {
      if (event === "finished") {
        this.finished = true;
        // Nothing here may tell which configuration it was, so that the vote is about the answer.
        this.show(answerView(data.message, { tools: false }));
      } else if (event === "error") {
        pending.end(notice(data));
      } else if (event === "queued") {
        pending.take({ event, data: { before: 0 } });
      } else {
        pending.take({ event, data });
      }
    },
    show: (answer) => element.lastElementChild.replaceWith(answer),
    shows: (id) => element.lastElementChild.dataset.message === id,
    end: () => pending.end(),
    reveal(name, won) {
      fill(heading, h("strong", {}, name), won ? " — your choice" : "");
      element.classList.toggle("winner", won);
    },
  };
}
