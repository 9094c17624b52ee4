// What the page knows: preferences that stay in this browser, and what the server told of itself.

const KEY = "ragkit.prefs";
const DEFAULTS = {
  theme: "auto",
  collection: null,
  model: null,
  mode: null,
  shots: 0,
  sometimes: true,
  rival: null,
};

function stored() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

/** Kept per browser; change them with `prefer`. */
export const prefs = stored();

export function prefer(name, value) {
  prefs[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    // A browser that keeps nothing still works until it is closed.
  }
  tell("prefs", { name });
}

/** What the server told: who asks, what there is to ask, and by what. */
export const world = { me: null, collections: [], models: [], modes: [], defaultMode: "auto" };

/** The conversation that is shown, `{id, title, collection}`, or null before the first question; and the title of the
 * document that alone is asked, or null for all. */
export const current = { conversation: null, only: null };

const bus = new EventTarget();

export function on(name, listener) {
  bus.addEventListener(name, (event) => listener(event.detail));
}

export function tell(name, detail = null) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

/** The chosen collection, or the first with something in it, or the first, or null. */
export function collection() {
  const all = world.collections;
  return all.find((each) => each.name === prefs.collection) ?? all.find((each) => each.documents) ?? all[0] ?? null;
}

/** Ask one document alone, or with null all of them again. */
export function askOnly(title) {
  current.only = title;
  tell("only");
}

const ORDER = ["read", "write", "admin"];

/** Whether the person may do this with the chosen collection. */
export function may(right) {
  return ORDER.indexOf(collection()?.right ?? "") >= ORDER.indexOf(right);
}

/** The models that may be chosen; no model is one of them only where the server was started so. */
export function models() {
  return world.models.filter((each) => each.kind !== "none" || each.default);
}

/** The ways of answering with a model; without one only those that need none. */
export function ways(model) {
  const asks = world.models.some(({ name, kind }) => name === model && kind !== "none");
  return world.modes.filter((mode) => asks || mode === "auto" || mode === "quotes");
}

/** The configuration that is chosen for answers; what is null is left to the server. */
export function chosen() {
  const model = models().find((each) => each.name === prefs.model) ?? models().find((each) => each.default);
  const mode = ways(model?.name).includes(prefs.mode) ? prefs.mode : world.defaultMode;
  return { model: model?.name ?? null, mode, shots: prefs.shots };
}

/** How ways of answering are called on the page, and what they do. */
export const WAYS = {
  auto: ["Automatic", "The server takes the way that measured best for the model."],
  quotes: ["Quotes", "The best sentences as they stand. Needs no model."],
  extract: ["Short answer", "A short span of a document, word for word."],
  chat: ["Chat", "Free text, checked sentence by sentence against the sources."],
};

export function wayName(mode) {
  return WAYS[mode]?.[0] ?? mode;
}

/** A configuration in words. */
export function configName(config) {
  if (!config) return "";
  const shots = config.shots ? `${config.shots} ${config.shots === 1 ? "example" : "examples"}` : "";
  return [wayName(config.mode), config.model && config.model !== "none" ? config.model : "", shots]
    .filter(Boolean)
    .join(" · ");
}
