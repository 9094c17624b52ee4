// A source beside the answer: the page with the quote marked, or the text around it.

import { get, path } from "./api.js";
import { notice } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { finder } from "./finder.js";
import { closePanel, openPanel } from "./panel.js";
import { NARROW, askOnly } from "./state.js";

const AROUND = 12_000;
const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3];
const SHARPEST = 2000;
let zoom = 1;

/**
 * Open a document.
 * @param {string} collection
 * @param {object} place `document_id`, and where there is a quote `start`, `end`, `page`, `quote`, `heading_path`.
 * @param {object} options of the panel.
 */
export function openSource(collection, place, options = {}) {
  return openPanel(
    place.title || place.name || "Source",
    async (body, still) => {
      fill(body, h("p.status", {}, "Opening…"));
      try {
        const about = await get(path(["collections", collection, "documents", place.document_id]));
        if (!still()) return;
        const view = { collection, place, about, body, still, quoted: place.end > place.start };
        // What is marked: the quote, or what was found in the document.
        view.mark = view.quoted ? place : null;
        const find = (query) => path(url(view, "find"), { query });
        view.finder = finder(find, (match) => goTo(view, match).catch(failed(view)), failed(view));
        if (isDrawn(about)) await showPage(view, place.page ?? about.pages[0].number);
        else await showText(view, place.start ?? 0);
      } catch (error) {
        if (still()) fill(body, notice(error));
      }
    },
    options,
  );
}

/** Whether the server draws the document's pages: slides and cell ranges are shown as text. */
const isDrawn = (about) => about.pages.length > 0 && /^(application\/pdf$|image\/)/.test(about.media_type);

/** A quote within its sentence. */
export function quoteIn({ before = "", quote, after = "" }) {
  const flat = (text) => text.replace(/\s+/g, " ");
  const whole = !before.trim() && !after.trim();
  return whole ? flat(quote).trim() : [flat(before), h("b", {}, flat(quote)), flat(after)];
}

const url = (view, ...rest) => ["collections", view.collection, "documents", view.place.document_id, ...rest];

function head(view, ...controls) {
  const { place, about, quoted } = view;
  // The finder moves into the new head, which takes the focus from it.
  view.focused = view.finder.contains(document.activeElement) ? document.activeElement : null;
  const trail = place.heading_path?.length ? place.heading_path.join(" › ") : "";
  return [
    h(
      "p.path",
      {},
      [about.name !== about.title && about.name, trail].filter(Boolean).map((part) => [part, " · "]),
      h("button.link", { type: "button", on: { click: () => alone(about.title) } }, "Search only this document"),
    ),
    quoted && place.quote && h("blockquote.quoted", { dir: "auto" }, quoteIn(place)),
    h("div.stick", {}, view.finder, h("div.bar", {}, controls)),
  ];
}

/** Put a view into the panel; a search that goes on keeps the focus. */
function put(view, ...content) {
  fill(view.body, ...content);
  view.focused?.focus({ preventScroll: true });
}

/** Go to a place of the document, marked, as pages or as text, whichever is shown. */
function goTo(view, mark) {
  view.mark = mark;
  return view.asText || !isDrawn(view.about) ? showText(view, mark.start) : showPage(view, numberAt(view.about, mark.start));
}

function zooming(apply) {
  const step = (by) => {
    zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(zoom) + by))];
    draw();
    apply();
  };
  const less = button("zoom-out", "Zoom out", () => step(-1), { quiet: true });
  const more = button("zoom-in", "Zoom in", () => step(1), { quiet: true });
  const share = h("span.small.number", { "aria-live": "polite" });
  const draw = () => {
    share.textContent = `${Math.round(100 * zoom)} %`;
    less.disabled = zoom === ZOOMS[0];
    more.disabled = zoom === ZOOMS.at(-1);
  };
  draw();
  return h("div.zoom", { role: "group", "aria-label": "Zoom" }, less, share, more);
}

function alone(title) {
  // Where the panel covers the question, it makes room for it.
  if (NARROW.matches) closePanel({ focus: false });
  askOnly(title);
}

async function showPage(view, number) {
  const { place, about, body, still, mark } = view;
  const at = about.pages.findIndex((page) => page.number === number);
  const page = about.pages[at];
  const inside = mark && mark.start < page.end && mark.end > page.start;
  const span = inside ? { start: Math.max(mark.start, page.start), end: Math.min(mark.end, page.end) } : {};
  let found;
  try {
    found = await get(path(url(view, "pages", number), span));
  } catch (error) {
    // The file may be gone or changed; the text that was read from it is still there.
    if (!still()) return;
    if (error.status !== 404) throw error;
    await showText(view, mark?.start ?? page.start, error);
    return;
  }
  if (!still()) return;
  const image = h("img", { alt: `Page ${number} of ${about.title}` });
  const sheet = h("div.sheet", {}, image);
  const scroller = h("div.sheet-scroll", {}, sheet);
  sheet.style.aspectRatio = `${found.width} / ${found.height}`;
  let sharp = 0;
  const size = () => {
    sheet.style.width = `${100 * zoom}%`;
    const density = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.min(SHARPEST, Math.ceil((body.clientWidth || 600) * Math.max(1, zoom) * density));
    if (width > sharp) image.src = path(url(view, "pages", number, "image"), { width });
    sharp = Math.max(sharp, width);
  };
  const resize = () => {
    const before = sheet.offsetHeight;
    size();
    body.scrollTop *= sheet.offsetHeight / before;
    reveal(body, sheet.querySelector(".quote-mark"), { only: true });
  };
  size();
  for (const [x0, y0, x1, y1] of found.rects ?? []) {
    const line = h("div.quote-mark", { "aria-hidden": "true" });
    // A little air around the letters.
    line.style.left = `${x0 * 100 - 0.3}%`;
    line.style.top = `${y0 * 100 - 0.2}%`;
    line.style.width = `${(x1 - x0) * 100 + 0.6}%`;
    line.style.height = `${(y1 - y0) * 100 + 0.4}%`;
    sheet.append(line);
  }
  view.asText = false;
  const goes = inside && mark.end > page.end && about.pages[at + 1];
  const away = view.quoted && (mark !== place || !inside);
  put(
    view,
    head(
      view,
      button("left", "Previous page", () => toPage(view, at - 1), { quiet: true, disabled: at === 0 }),
      h("span.small", { "aria-live": "polite" }, page.label ? `${page.label} (${at + 1} of ${about.pages.length})` : `Page ${number} of ${about.pages.length}`),
      button("right", "Next page", () => toPage(view, at + 1), { quiet: true, disabled: at === about.pages.length - 1 }),
      h("span.gap"),
      zooming(resize),
      away && button(null, "Go to quote", () => goTo(view, place).catch(failed(view))),
      button(null, "Text", () => toText(view, page.start)),
    ),
    goes && h("p.soft.small", {}, "The quote continues on the next page."),
    scroller,
  );
  reveal(body, sheet.querySelector(".quote-mark"));
}

const failed = (view) => (error) => fill(view.body, notice(error));
const toPage = (view, at) => showPage(view, view.about.pages[at].number).catch(failed(view));
const toText = (view, offset) => showText(view, offset).catch(failed(view));

function pageOf(about, offset) {
  return Math.max(0, about.pages.findLastIndex((page) => page.start <= offset));
}

const numberAt = (about, offset) => about.pages[pageOf(about, offset)].number;

async function showText(view, around, why = null) {
  const { place, about, body, still, quoted, mark } = view;
  const start = Math.max(0, around - AROUND);
  const end = Math.min(about.characters, Math.max(mark && mark.start <= around ? mark.end : 0, around) + AROUND);
  const window_ = await get(path(url(view, "text"), { start, end }));
  if (!still()) return;
  const go = (offset) => toText(view, offset);
  const sections = about.headings ?? [];
  const jump =
    sections.length > 1 &&
    h(
      "select",
      { "aria-label": "Section", on: { change: (event) => toSection(view, sections[event.target.value], go) } },
      h("option", { value: "", selected: true, disabled: true }, "Sections"),
      sections.map((section, n) => h("option", { value: n }, `${"\u2003".repeat(section.level - 1)}${section.title}`)),
    );
  view.asText = true;
  const text = h("div.fulltext", { dir: "auto" }, pieces(window_, view));
  const size = () => (text.style.fontSize = `${0.9375 * zoom}rem`);
  size();
  put(
    view,
    why && h("div.notice", {}, h("strong", {}, why.message), why.hint && h("span", {}, why.hint)),
    head(
      view,
      jump,
      h("span.gap"),
      zooming(size),
      quoted && button(null, "Go to quote", () => goTo(view, place).catch(failed(view))),
      isDrawn(about) && !why && button(null, "Page", () => toPage(view, pageOf(about, around))),
    ),
    window_.start > 0 && button(null, "Previous text", () => go(Math.max(0, window_.start - 1))),
    text,
    window_.end < about.characters && button(null, "Next text", () => go(window_.end + 1)),
  );
  reveal(body, mark && mark.start >= window_.start && mark.start < window_.end ? text.querySelector("mark") : null);
}

function toSection(view, section, go) {
  const there = view.body.querySelector(`[data-start="${section.start}"]`);
  if (there) there.scrollIntoView({ block: "start" });
  else go(section.start);
}

/** Cut the window where headings and the quote begin and end. Offsets count characters, not UTF-16 units. */
function pieces(window_, { about, mark }) {
  const letters = Array.from(window_.text);
  if (isDrawn(about)) joinLines(letters, about.headings ?? [], window_.start);
  const spans = [];
  for (const { start } of about.headings ?? []) {
    const from = start - window_.start;
    if (from < 0 || from >= letters.length) continue;
    let to = letters.indexOf("\n", from);
    if (to < 0) to = letters.length;
    spans.push({ from, to, start });
  }
  const [low, high] = mark ? [mark.start - window_.start, mark.end - window_.start] : [-1, -1];
  const cuts = new Set([0, letters.length, low, high, ...spans.flatMap(({ from, to }) => [from, to])]);
  const borders = [...cuts].filter((cut) => cut >= 0 && cut <= letters.length).sort((a, b) => a - b);
  return borders.slice(0, -1).map((from, n) => {
    const to = borders[n + 1];
    const heading = spans.find((span) => span.from <= from && to <= span.to);
    const text = letters.slice(from, to).join("");
    const inner = low <= from && to <= high ? h("mark", {}, text) : text;
    return heading ? h("span.heading", { data: { start: heading.start } }, inner) : inner;
  });
}

/** Lines of a page end where the paper did: put a space for the break within a sentence, and keep every offset. */
function joinLines(letters, headings, offset) {
  const kept = new Set(headings.map(({ start }) => start - offset - 1));
  for (const { start } of headings) kept.add(letters.indexOf("\n", Math.max(0, start - offset)));
  for (let at = 1; at < letters.length - 1; at++) {
    const inside = letters[at] === "\n" && letters[at + 1] !== "\n" && !/[\n.!?:;]/.test(letters[at - 1]);
    if (inside && !kept.has(at)) letters[at] = " ";
  }
}

/** Scroll to a mark; without one, to the beginning, unless it is `only` about the mark. */
function reveal(body, mark, { only = false } = {}) {
  if (!mark) {
    if (!only) body.scrollTop = 0;
    return;
  }
  const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  // After the layout, so that the bar that sticks to the top does not hide the quote.
  requestAnimationFrame(() => mark.scrollIntoView({ block: "center", inline: "nearest", behavior: smooth ? "smooth" : "instant" }));
}
