// How each configuration fares: its win rate with the interval it may truly lie in.

import { get, path } from "./api.js";
import { notice } from "./dialogs.js";
import { drawing, fill, h } from "./dom.js";
import { openPanel } from "./panel.js";
import { collection, configName } from "./state.js";
import { percent } from "./why.js";

const EDGE = 8;
const WIDTH = 400;

export function openStandings() {
  const chosen = collection();
  return openPanel("Leaderboard", async (body, still) => {
    fill(body, h("p.status", {}, "Counting…"));
    try {
      const { configurations } = await get(path(["standings"], { collection: chosen?.name }));
      if (still()) draw(body, configurations, chosen);
    } catch (error) {
      if (still()) fill(body, notice(error));
    }
  });
}

function draw(body, configurations, chosen) {
  fill(
    body,
    h(
      "p.soft",
      {},
      `Comparison of configurations${chosen ? ` in ${chosen.title}` : ""}, from the votes of all users. `,
      "The dot is the win rate (a tie counts half). The line is its 95 % confidence interval.",
    ),
    configurations.length === 0 && h("p.block", {}, "No votes yet. Select “Compare answers” and choose the better one."),
    configurations.map(standing),
  );
}

function standing({ config, answers, wins, losses, ties, rate, low, high, up, down }) {
  const compared = wins + losses + ties > 0;
  const counts = [
    compared && `${percent(rate)} (${percent(low)} to ${percent(high)})`,
    compared && `${wins} won, ${losses} lost, ${ties} ${ties === 1 ? "tie" : "ties"}`,
    up + down > 0 && `${up} thumbs up, ${down} down`,
    answers !== undefined && `${answers} ${answers === 1 ? "answer" : "answers"}`,
  ];
  return h(
    "section.standing",
    {},
    h("h3", {}, configName(config)),
    compared && interval(rate, low, high),
    h("p.soft.small", {}, counts.filter(Boolean).join(" · ")),
  );
}

function interval(rate, low, high) {
  const x = (share) => (EDGE + share * (WIDTH - 2 * EDGE)).toFixed(1);
  const line = (className, from, to, y1, y2 = y1) => ["line", { class: className, x1: x(from), x2: x(to), y1, y2 }];
  const svg = drawing(WIDTH, 26, `Wins ${percent(rate)}, between ${percent(low)} and ${percent(high)}`, [
    line("axis", 0, 1, 13),
    line("axis", 0, 0, 8, 18),
    line("axis", 0.5, 0.5, 5, 21),
    line("axis", 1, 1, 8, 18),
    line("span", low, high, 13),
    ["circle", { class: "dot", cx: x(rate), cy: 13, r: 5 }],
  ]);
  svg.setAttribute("preserveAspectRatio", "xMinYMid meet");
  return svg;
}
