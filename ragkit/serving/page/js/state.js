// What the page knows: preferences that stay in this browser, and what the server told of itself.

/** A page on which the panel and the rail cover the thread: the same condition as in the style sheets. */
export const NARROW = matchMedia("(max-width: 820px), (max-width: 960px) and (max-height: 500px)");

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

/** The answer modes that a model supports; without a model, only the modes that need none. */
export function modesOf(model) {
  const asks = world.models.some(({ name, kind }) => name === model && kind !== "none");
  return world.modes.filter((mode) => asks || mode === "auto" || mode === "quotes");
}

/** Whether a mode answers in several steps; its answers are not compared with others. */
export const inSteps = (mode) => mode === "plan" || mode === "agent";

/** The configuration that is chosen for answers; what is null is left to the server. */
export function chosen() {
  const model = models().find((each) => each.name === prefs.model) ?? models().find((each) => each.default);
  const mode = modesOf(model?.name).includes(prefs.mode) ? prefs.mode : world.defaultMode;
  return { model: model?.name ?? null, mode, shots: prefs.shots };
}

/** Name and description of each answer mode. */
export const MODES = {
  auto: ["Automatic", "The server chooses the best mode for the question and the model."],
  quotes: ["Quotes", "The best matching sentences, verbatim. Needs no model."],
  extract: ["Short answer", "A short quote from a document."],
  chat: ["Chat", "Free text. Each sentence is checked against the sources."],
  plan: ["Plan", "Several checked steps over the documents, for questions that one passage does not answer. Takes longer."],
  agent: ["Agent", "The model may call the server's tools. Calls that change something wait for your decision."],
};

export function modeName(mode) {
  return MODES[mode]?.[0] ?? mode;
}

/** A configuration in words. */
export function configName(config) {
  if (!config) return "";
  const shots = config.shots ? `${config.shots} ${config.shots === 1 ? "example" : "examples"}` : "";
  // Quotes ask no model, whichever was chosen.
  const asks = config.model && config.model !== "none" && config.mode !== "quotes";
  return [modeName(config.mode), asks ? config.model : "", shots]
    .filter(Boolean)
    .join(" · ");
}
