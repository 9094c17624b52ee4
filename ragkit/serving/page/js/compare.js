// Two answers to one question, side by side; their configurations are revealed after the vote.

import { ApiError, events, get, path, post } from "./api.js";
import { notice, problem } from "./dialogs.js";
import { button, fill, h, say } from "./dom.js";
import { answerView, pendingView } from "./message.js";
import { configName } from "./state.js";

const VOTES = [
  ["a", "Left is better", "1"],
  ["b", "Right is better", "2"],
  ["tie", "Tie", "="],
  ["neither", "Neither", "0"],
];
const question = () => document.getElementById("question");
const UNASKED =
  "Sometimes you see two answers. Your choice improves the assistant. You can turn this off in the settings.";

/**
 * Ask for two answers.
 * @param {object} run knows the collection; its `stop` ends both.
 * @param {object} json the question and the two configurations.
 * @param {{asked: boolean, retry: (question: string) => void}} options `asked`: whether the person wanted two, or is
 *   shown them now and then.
 */
export function compareView(run, json, { asked, retry }) {
  const pair = pairView({ note: !asked && UNASKED, retry });
  let id = null;

  async function done(onConversation) {
    try {
      const stream = events("POST", path(["collections", run.collection, "comparisons"]), { json, signal: run.stop.signal });
      for await (const { event, data } of stream) {
        if (event === "started") id = data.id;
        else if (event === "conversation") onConversation(data);
        else if (event === "error" && !data.side) throw new ApiError(data.message, data.hint, 500);
        else if (data.side) pair.sides[data.side].take({ event, data });
      }
      if (pair.sides.a.finished && pair.sides.b.finished) {
        pair.askForVote({ id, conversation: run.conversation });
        say("Two answers are ready. Which one is better? Press 1, 2, = or 0.");
      } else pair.end(h("p", {}, "One of the two answers failed, so there is nothing to compare."));
    } catch (error) {
      pair.end(error.name === "AbortError" ? h("p", {}, "Stopped. There is nothing to compare.") : notice(error));
    }
  }

  return { element: pair.element, done };
}

/**
 * Show two answers that came some time ago and still wait for a vote.
 * @param {{id: string, a: object, b: object}} comparison with the two messages.
 * @param {string} conversation
 */
export function waitingView({ id, ...messages }, conversation, { retry }) {
  const pair = pairView({ retry });
  for (const side of ["a", "b"]) pair.sides[side].take({ event: "finished", data: { message: messages[side] } });
  pair.askForVote({ id, conversation });
  return pair.element;
}

function pairView({ note, retry }) {
  const sides = Object.fromEntries(["a", "b"].map((side) => [side, sideView(side)]));
  const vote = h("div.vote");
  const beside = h("div.pair", {}, sides.a.element, sides.b.element);
  const element = h("div.comparison", {}, note && h("p.note", {}, note), beside, vote);
  let waiting = null;

  function askForVote(comparison) {
    waiting = comparison;
    const buttons = VOTES.map(([winner, label, key]) => {
      const each = button(null, label, () => cast(winner), { "aria-keyshortcuts": key });
      each.append(h("kbd", { "aria-hidden": "true" }, key));
      return each;
    });
    const group = h("div.tools", { role: "group", tabindex: -1, "aria-label": "Which answer is better?" }, buttons);
    fill(vote, h("p", {}, "Which answer is better?"), group);
    document.addEventListener("keydown", byKey);
    // The keys vote at once, except for who is writing the next question by now.
    if (document.activeElement === question() && !question().value) group.focus({ preventScroll: true });
  }

  function byKey(event) {
    if (!element.isConnected) {
      document.removeEventListener("keydown", byKey);
      return;
    }
    const writing = event.target.closest?.("input, textarea, select, dialog");
    const found = VOTES.find(([, , key]) => key === event.key);
    if (!found || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    // Where several wait, the keys are for the latest, or for the one that has the focus.
    const last = [...document.querySelectorAll(".comparison:has(.vote [role=group])")].at(-1);
    if ((document.activeElement.closest(".comparison") ?? last) !== element) return;
    event.preventDefault();
    cast(found[0]);
  }

  async function cast(winner) {
    document.removeEventListener("keydown", byKey);
    if (vote.contains(document.activeElement)) question().focus();
    try {
      const configs = await post(path(["comparisons", waiting.id, "vote"]), { winner });
      for (const side of ["a", "b"]) sides[side].reveal(configName(configs[side]), winner === side);
      await showKept();
      fill(vote, h("p", {}, "Saved, thank you. The leaderboard compares configurations."));
      say(`Saved. Left was ${configName(configs.a)}, right was ${configName(configs.b)}.`);
    } catch (error) {
      problem(error);
      if (error.offline) askForVote(waiting);
    }
  }

  /** One of the two stays in the conversation; from now on it is an answer like any other. */
  async function showKept() {
    const conversation = await get(path(["conversations", waiting.conversation])).catch(() => null);
    for (const side of Object.values(sides)) {
      const kept = conversation?.messages.find(({ id }) => side.shows(id));
      if (kept) side.show(answerView(kept, { retry }));
    }
  }

  function end(why) {
    for (const side of Object.values(sides)) side.end();
    fill(vote, why);
  }

  return { element, sides, askForVote, end };
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
        // Nothing here may reveal the configuration, so that the vote is about the answer.
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
