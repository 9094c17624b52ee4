// Runs before the page is drawn, so that a chosen theme does not flash; "auto" follows the system.
(() => {
  let theme = "auto";
  try {
    theme = JSON.parse(localStorage.getItem("ragkit.prefs") ?? "{}").theme ?? "auto";
  } catch {
    // Without storage, or with a broken entry, the system's theme holds.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
