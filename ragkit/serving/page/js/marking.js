// Marking sentences of rendered Markdown that no source supports.

const WORDS = /[\p{L}\p{N}]/u;

/**
 * Wrap the places of `element` whose letters are those of the spans of `text`.
 *
 * The text is Markdown and the element is what became of it, so they are aligned by letters and digits alone;
 * citation marks are in both under different forms and count in neither.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {[number, number][]} spans in characters of the text.
 * @param {(piece: string) => HTMLElement} wrapper makes the element that stands around a piece.
 */
export function markSpans(element, text, spans, wrapper) {
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
  for (const [start, end] of spans) {
    const wanted = bare(letters.slice(start, end).join(""));
    if (!wanted.length) continue;
    const sought = wanted.join("\u0000");
    const found = all.indexOf(sought, from);
    if (found < 0) continue;
    // Every letter is followed by a separator, but letters may be two units long: count the separators.
    const first = all.slice(0, found).split("\u0000").length - 1;
    places.push([first, first + wanted.length]);
    from = found + sought.length;
  }
  for (const [first, last] of places.reverse()) wrap(shown.slice(first, last), wrapper);
}

function bare(text) {
  return Array.from(text.replace(/\[\d+\]/g, "")).filter((letter) => WORDS.test(letter));
}

function wrap(letters, wrapper) {
  const nodes = new Map();
  for (const { node, at, end } of letters) {
    const span = nodes.get(node);
    nodes.set(node, span ? [span[0], end] : [at, end]);
  }
  for (const [node, [start, end]] of nodes) {
    let stop = end;
    // The mark of the sentence's end belongs to it.
    while (stop < node.data.length && /[.!?…)”"]/.test(node.data[stop])) stop++;
    const rest = node.splitText(start);
    rest.splitText(stop - start);
    const around = wrapper(rest.data);
    rest.replaceWith(around);
    around.append(rest);
  }
}
