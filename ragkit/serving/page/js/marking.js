// Marking sentences of rendered Markdown that no source supports.

const WORDS = /[\p{L}\p{N}]/u;

// Not a statement, or not to be cut: a heading states nothing, code and formulas are marked with what is around them.
const HEADINGS = "h1, h2, h3, h4, h5, h6";
const BLOCKS = "pre, table";
const WHOLE = "code, .formula";

/**
 * Mark the places of `element` whose letters are those of the spans of `text`: sentences by an element around them,
 * tables and blocks of code by a class of their own.
 *
 * The text is Markdown and the element is what became of it, so they are aligned by letters and digits alone;
 * citation marks are in both under different forms and count in neither.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {[number, number][]} spans in characters of the text.
 * @param {string} kind class of what is marked.
 * @param {string} title shown for it.
 * @returns {number} how many spans are statements; headings are not.
 */
export function markSpans(element, text, spans, kind, title) {
  if (!spans.length) return 0;
  const letters = Array.from(text);
  const shown = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest(".citation")) continue;
    for (let at = 0; at < node.data.length; ) {
      const letter = String.fromCodePoint(node.data.codePointAt(at));
      if (WORDS.test(letter)) shown.push({ letter, node, at, end: at + letter.length });
      at += letter.length;
    }
  }
  const all = shown.map((each) => each.letter).join("\u0000");
  const places = [];
  let from = 0;
  let passed = 0;
  let statements = 0;
  for (const [start, end] of spans) {
    const wanted = bare(letters.slice(start, end).join(""));
    if (!wanted.length) continue;
    const sought = wanted.join("\u0000");
    const found = all.indexOf(sought, from);
    if (found < 0) {
      statements++;
      continue;
    }
    // Every letter is followed by a separator, but letters may be two units long: count the separators.
    const first = passed + all.slice(from, found).split("\u0000").length - 1;
    const place = shown.slice(first, first + wanted.length);
    from = found + sought.length;
    passed = first + wanted.length - 1;
    if (place.every(({ node }) => node.parentElement.closest(HEADINGS))) continue;
    statements++;
    places.push(place);
  }
  for (const place of places.reverse()) mark(place, kind, title);
  return statements;
}

function bare(text) {
  // The line that opens a block of code names its language, which is not shown.
  return Array.from(text.replace(/\[\d+\]|^ *(?:`{3,}|~{3,}).*$/gm, "")).filter((letter) => WORDS.test(letter));
}

function mark(letters, kind, title) {
  const nodes = new Map();
  for (const { node, at, end } of letters) {
    const span = nodes.get(node);
    nodes.set(node, span ? [span[0], end] : [at, end]);
  }
  for (const [node, [start, end]] of nodes) {
    const { parentElement: parent } = node;
    const block = parent.closest(BLOCKS);
    if (block) {
      block.classList.add(...kind.split(" "));
      block.title = title;
    } else if (!parent.closest(`${HEADINGS}, ${WHOLE}`)) wrap(node, start, end, kind, title);
  }
}

function wrap(node, start, end, kind, title) {
  let stop = end;
  // The mark of the sentence's end belongs to it.
  while (stop < node.data.length && /[.!?…)”"]/.test(node.data[stop])) stop++;
  const rest = node.splitText(start);
  rest.splitText(stop - start);
  const around = document.createElement("span");
  around.className = kind;
  around.title = title;
  rest.replaceWith(around);
  around.append(rest);
}
