// Formulas: LaTeX that the server has marked, drawn by KaTeX, which is loaded with the first of them.

const place = (file) => new URL(`../vendor/katex/${file}`, import.meta.url).href;
let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: place("katex.min.css") });
    const script = Object.assign(document.createElement("script"), { src: place("katex.min.js") });
    script.addEventListener("load", () => resolve(window.katex));
    script.addEventListener("error", () => reject(new Error("KaTeX could not be loaded.")));
    document.head.append(style, script);
  });
  return loading;
}

/** Draw the formulas of an element that are not drawn yet. One with an error, or without KaTeX, stays as it is written. */
export async function drawFormulas(element) {
  const waiting = element.querySelectorAll(".formula:not([data-tex])");
  if (!waiting.length) return;
  for (const each of waiting) each.dataset.tex = each.textContent;
  const katex = await load().catch(() => null);
  if (!katex) return;
  for (const each of waiting) {
    const displayMode = each.classList.contains("display");
    try {
      // What a model wrote may open no address, define no endless macro and fill no screen.
      const safe = { trust: false, maxExpand: 200, maxSize: 40, strict: "ignore" };
      katex.render(each.dataset.tex, each, { ...safe, displayMode, throwOnError: true });
    } catch (error) {
      each.textContent = each.dataset.tex;
      each.classList.add("wrong");
      each.title = error.message;
    }
  }
}
