// Questions that are written but not sent yet: kept in this browser, one per conversation.

const KEY = "ragkit.drafts";
const MOST = 50;

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

/** Return the draft of a conversation; `id` is empty for a new one. */
export function draftOf(id) {
  return stored()[id] ?? "";
}

/** Keep a draft; an empty one is dropped, and so are the oldest where there are many. */
export function keepDraft(id, text) {
  // Another tab may have written meanwhile.
  const { [id]: before, ...others } = stored();
  if ((before ?? "") === text) return;
  const all = Object.entries(text ? { ...others, [id]: text } : others).slice(-MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(all)));
  } catch {
    // A browser that keeps nothing loses drafts on a reload, and nothing else.
  }
}

/** Forget all drafts, as a person who logs out expects. */
export function forgetDrafts() {
  localStorage.removeItem(KEY);
}
