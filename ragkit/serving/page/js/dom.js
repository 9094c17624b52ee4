// Making elements. Everything is set as text or as an attribute; markup comes in at one place only: `serverHtml`.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "open", "multiple", "type", "id"]);

/**
 * Make an element.
 * @param {string} tag such as "button" or "div.card.wide".
 * @param {object} options attributes; `on` holds listeners, `data` the dataset.
 * @param {...(Node|string|number|null|undefined|false)} children what is not there is left out.
 */
export function h(tag, options = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else if (typeof value !== "boolean" || key.startsWith("aria-")) element.setAttribute(key, String(value));
    else if (value) element.setAttribute(key, "");
  }
  put(element, ...children);
  return element;
}

/** Append children to an element. */
export function put(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Put children in the place of what an element held. */
export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

/** The one place where markup is parsed: Markdown that the server has rendered and sanitised. */
export function serverHtml(element, html) {
  element.innerHTML = html;
  return element;
}

/** An icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A drawing: elements given as [name, attributes]. */
export function drawing(width, height, label, shapes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  for (const [name, attributes] of shapes) {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    svg.append(shape);
  }
  return svg;
}

/** A button with an icon; `label` is shown beside it, or only spoken and shown as a tip where `quiet`. */
export function button(name, label, onclick, { quiet = false, kind = "", ...options } = {}) {
  const element = h(
    `button.button${quiet ? ".quiet" : ""}${kind ? `.${kind}` : ""}`,
    { type: "button", on: { click: onclick }, ...(quiet ? { "aria-label": label, title: label } : {}), ...options },
    name && icon(name),
    !quiet && h("span", {}, label),
  );
  return element;
}

/** Return a number with its noun, such as "1 page" or "2 pages". */
export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString()} ${number === 1 ? noun : plural}`;
}

/** Say something to who listens to the page rather than sees it. */
export function say(text) {
  const live = document.getElementById("live");
  // The same words twice would not be read again.
  live.textContent = live.textContent === text ? `${text}\u00a0` : text;
}

/** Move the focus through the items of a list with the arrow keys, Home and End. */
export function arrowKeys(list, selector) {
  list.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll(selector)];
    const at = items.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || !items[to]) return;
    event.preventDefault();
    items[to].focus();
  });
}
