// Finding a text within the document that is open.

import { get } from "./api.js";
import { button, h, say } from "./dom.js";

/**
 * Make a search field that goes from one place to the next.
 * @param {(query: string) => string} url of the server's search in this document.
 * @param {(place: {start: number, end: number}) => void} show
 * @param {(error: Error) => void} failed
 */
export function finder(url, show, failed) {
  const field = h("input.field", { type: "search", placeholder: "Find in document", "aria-label": "Find in document", dir: "auto" });
  const shown = h("span.small.soft.number", { "aria-live": "polite" });
  const before = button("left", "Previous match", () => go(-1), { quiet: true, disabled: true });
  const after = button("right", "Next match", () => go(1), { quiet: true, disabled: true });
  const form = h("form.bar.finder", { role: "search", on: { submit } }, field, shown, before, after);
  let asked = "";
  let places = [];
  let at = 0;

  async function submit(event) {
    event.preventDefault();
    const query = field.value.trim();
    if (query && query === asked) return go(1);
    asked = query;
    places = [];
    try {
      const found = query ? await get(url(query)) : { places: [], total: 0 };
      if (query !== asked) return;
      places = found.places;
      at = 0;
      draw(query && !places.length ? "No matches" : "");
      if (places.length) show(places[0]);
    } catch (error) {
      failed(error);
    }
  }

  function go(by) {
    if (!places.length) return;
    at = (at + by + places.length) % places.length;
    draw();
    show(places[at]);
  }

  function draw(words = "") {
    before.disabled = after.disabled = places.length < 2;
    shown.textContent = places.length ? `${at + 1} of ${places.length}` : words;
    if (words) say(words);
  }

  // Enter goes on, Shift and Enter go back, as in a browser; a field that is emptied forgets its matches.
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey || event.isComposing) return;
    event.preventDefault();
    go(-1);
  });
  field.addEventListener("input", () => {
    if (field.value.trim()) return;
    asked = "";
    places = [];
    draw();
  });
  return form;
}
