// Times as people read them; the server tells them in seconds.

const DAY = 86_400_000;
const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
const daysAgo = (when) => Math.round((midnight(new Date()) - midnight(when)) / DAY);
const clock = (when) => when.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });

/** Name a day, or a longer time the further it is back. */
export function dayOf(seconds) {
  const when = new Date(seconds * 1000);
  const ago = daysAgo(when);
  if (ago <= 0) return "Today";
  if (ago === 1) return "Yesterday";
  if (ago < 7) return "Last 7 days";
  if (ago < 31) return "Last 30 days";
  return when.toLocaleDateString(undefined, { month: "long", year: "numeric" });
}

/** A time as short as it is clear: of today the hour, of this year the day; all of it as a tip. */
export function timeOf(seconds) {
  const when = new Date(seconds * 1000);
  const ago = daysAgo(when);
  const sameYear = when.getFullYear() === new Date().getFullYear();
  const day = when.toLocaleDateString(undefined, { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) });
  const element = document.createElement("time");
  element.dateTime = when.toISOString();
  element.title = when.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
  element.textContent = ago <= 1 ? clock(when) : day;
  return element;
}
