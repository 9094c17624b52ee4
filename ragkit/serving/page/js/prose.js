// The text of an answer: Markdown that the server has rendered, made ready to be read, cited, copied and marked.

import { copy } from "./clipboard.js";
import { button, h, serverHtml } from "./dom.js";
import { drawFormulas } from "./formulas.js";
import { markSpans } from "./marking.js";

const UNSUPPORTED = "No retrieved source supports this sentence.";
const CONTRADICTED = "A source contradicts this sentence.";
const NESTED = "p, ul, ol, li, blockquote, h3, h4, h5, h6";

/**
 * Make the text of an answer.
 * @param {object} said `html` of the server, `text` as Markdown, `citations`, and spans of the text that are
 *   `unsupported` and `contradicted`.
 * @param {(citation: object, chip: HTMLElement) => void} show opens a source.
 * @returns {{element: HTMLElement, doubted: number}} `doubted`: how many sentences are marked.
 */
export function proseOf({ html, text, citations, unsupported, contradicted }, show) {
  const element = serverHtml(h("div.prose"), html);
  const against = new Set(contradicted.map(String));
  const silent = unsupported.filter((span) => !against.has(String(span)));
  const doubted =
    markSpans(element, text, silent, "unsupported", UNSUPPORTED) +
    markSpans(element, text, contradicted, "unsupported contradicted", CONTRADICTED);
  for (const chip of element.querySelectorAll("button.citation")) {
    const citation = citations.find((each) => String(each.number) === chip.dataset.number);
    if (citation) chip.addEventListener("click", () => show(citation, chip));
    else chip.disabled = true;
  }
  for (const block of element.children) block.dir = block.localName === "pre" ? "ltr" : "auto";
  return { element, doubted };
}

/** Draw what needs its place on the page first: formulas, and buttons to copy code. */
export function finishProse(element) {
  for (const code of element.querySelectorAll("pre")) {
    const around = h("div.code", { dir: "ltr" });
    code.tabIndex = 0;
    code.replaceWith(around);
    around.append(code, button("copy", "Copy code", (event) => copy(code.innerText, event.currentTarget), { quiet: true }));
  }
  drawFormulas(element);
}

/** The text of an answer that is being made: it grows sentence by sentence, and what stands already stays as it is. */
export function growingProse(show) {
  const element = h("div.prose.growing", { hidden: true });
  const said = { text: "", html: "", citations: [], unsupported: [], contradicted: [] };
  let length = 0;
  let blocks = [];
  let drawn = "";
  let tail = "";
  let frame = 0;
  return {
    element,
    said,
    take({ text, html, supported, contradicted, citation }) {
      const span = [length, (length += Array.from(text).length)];
      said.text += text;
      if (citation && !said.citations.some(({ number }) => number === citation.number)) said.citations.push(citation);
      if (!supported) said.unsupported.push(span);
      if (contradicted) said.contradicted.push(span);
      if (html === null) tail += text;
      else [said.html, tail] = [html, ""];
      element.hidden = false;
      // Sentences that come at once, as after a reload, are drawn at once.
      frame ||= requestAnimationFrame(draw);
    },
    end: () => {
      cancelAnimationFrame(frame);
      if (frame) draw();
      element.classList.remove("growing");
      element.querySelector(".caret")?.remove();
      finishProse(element);
    },
  };

  function draw() {
    frame = 0;
    element.querySelector(".caret")?.remove();
    if (said.html !== drawn) redraw();
    // What the server has not rendered yet.
    (element.lastElementChild ?? element).append(tail);
    tail = "";
    innermost(element).append(h("span.caret", { "aria-hidden": "true" }));
  }

  function redraw() {
    drawn = said.html;
    const fresh = [...proseOf(said, show).element.children];
    const now = fresh.map((block) => block.outerHTML);
    let same = 0;
    while (same < now.length && now[same] === blocks[same]) same++;
    // The last block may have grown without the server's markup.
    if (same === blocks.length) same = Math.max(0, same - 1);
    blocks = now;
    while (element.childNodes.length > same) element.lastChild.remove();
    element.append(...fresh.slice(same));
    drawFormulas(element);
  }
}

/** The last block of a text, however deep in a list or quotation it stands. */
function innermost(element) {
  const last = element.lastElementChild;
  return last?.matches(NESTED) ? innermost(last) : element;
}
