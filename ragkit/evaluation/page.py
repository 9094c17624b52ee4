"""A report as one HTML file: plots, then every question, failures first; no script, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ragkit.display import unit_name
from ragkit.evaluation import charts
from ragkit.evaluation.by_kind import COLUMNS
from ragkit.evaluation.outcome import RIGHT, VERDICTS, QuestionResult, SeenHit
from ragkit.evaluation.report import EvalReport, told
from ragkit.evaluation.sycophancy import SYCOPHANCY_FIGURES, SycophancyReport

_GROUPS = {
    "retrieval": "What search found",
    "answers": "What was answered",
    "citations": "What was cited",
    "abstention": "When it abstained",
}
_HITS = 5
"""Passages shown of a question, and any relevant one after them."""
_PASSAGE = 240
"""Characters of each."""
WIDE = "<div class='wide' role='group' aria-label='table' tabindex='0'>"
"""Start of a container that scrolls horizontally, also by keyboard."""
_RIGHT_OR_NOT = {None: "", True: "<span class='yes'>right</span> ", False: "<span class='no'>elsewhere</span> "}


def report_page(report: EvalReport) -> str:
    """Return a report as HTML."""
    count = len(report.outcomes)
    parts = [
        f"<h1>{escape(report.name)}</h1>",
        f"<p class='quiet'>{_count(count, 'question')} asked of {report.index['documents']:,} documents "
        f"({report.index['chunks']:,} chunks, {escape(str(report.index['embedding_model']))}).</p>",
        _warnings(report),
        "<h2>Where it went right and wrong</h2>",
        _verdicts(report),
    ]
    parts += ["<h2>By kind of question</h2>", by_kind(report)]
    for group, title in _GROUPS.items():
        rows = told(report.metrics, group)
        if not rows:
            continue
        parts.append(f"<h2>{title}</h2>")
        parts.append(charts.intervals([(info.title, one) for info, one in rows], title=title))
        parts.append(_explained([(info.title, info.description, one.count) for info, one in rows]))
        if group == "retrieval":
            parts.append(_ranks(report))
        if group == "answers" and "f1" in report.metrics:
            parts.append(_f1s(report))
    if report.sycophancy is not None:
        parts += ["<h2>Sycophancy</h2>", _sycophancy(report.sycophancy)]
    parts += ["<h2>What it took</h2>", _times(report), "<h2>Every question, failures first</h2>"]
    verdict = None
    for outcome in report.ordered:
        if outcome.verdict != verdict:
            verdict = outcome.verdict
            parts.append(f"<h3 id='{_anchor(verdict)}'>{escape(verdict)}: {report.verdicts[verdict]:,}</h3>")
            parts.append(f"<p class='quiet'>{escape(VERDICTS[verdict])}</p>")
        parts.append(question(outcome))
    parts += ["<h2>Settings</h2>", settings_table(report.config)]
    return document(report.name, parts)


def by_kind(report: EvalReport) -> str:
    """Return a table with a row for each kind of question; means with their 95 % intervals."""
    rows = []
    for row in report.kinds:
        cells = "".join(
            f"<td class='number'>{'–' if one is None else f'{one.mean:.2f} ({one.low:.2f} to {one.high:.2f})'}</td>"
            for one in row.estimates.values()
        )
        rows.append(f"<tr><th scope='row'>{escape(row.name)}</th><td class='number'>{row.count:,}</td>{cells}</tr>")
    heads = "".join(f"<th class='number'>{name}</th>" for name in COLUMNS)
    told = "".join(f"<dt>{name}</dt><dd>{escape(tells)}</dd>" for name, tells in COLUMNS.items())
    return (
        f"{WIDE}<table><tr><th>kind</th><th class='number'>questions</th>{heads}</tr>{''.join(rows)}</table></div>"
        f"<details><summary>What these mean</summary><div class='inside'><dl>{told}</dl></div></details>"
    )


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page that may load nothing and run nothing."""
    style = files("ragkit.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def summary(report: EvalReport) -> str:
    """Return a report's main numbers as a table, for notebooks; it looks as the page around it does."""
    rows = "".join(
        f"<tr><td>{escape(info.title)}</td><td>{one.mean:.3f}</td><td>{one.low:.3f} to {one.high:.3f}</td>"
        f"<td>{one.count:,}</td></tr>"
        for group in _GROUPS
        for info, one in told(report.metrics, group)
    )
    verdicts = " · ".join(f"{escape(verdict)} {count:,}" for verdict, count in report.verdicts.items())
    return (
        f"<b>{escape(report.name)}</b>, {_count(len(report.outcomes), 'question')}"
        f"<table><tr><th>metric</th><th>mean</th><th>95 %</th><th>questions</th></tr>{rows}</table>{verdicts}"
    )


def question(outcome: QuestionResult) -> str:
    """Return one question, folded up."""
    kind = "yes" if outcome.verdict == RIGHT else "no"
    score = "" if outcome.score is None else f"<span class='score'>{outcome.score:.2f}</span>"
    return (
        f"<details><summary>{score}{escape(outcome.question.question)} "
        f"<span class='{kind}'>{escape(outcome.verdict)}</span></summary>"
        f"<div class='inside'>{wanted(outcome)}{what_came(outcome)}</div></details>"
    )


def wanted(outcome: QuestionResult) -> str:
    """Return the expected answer of a question and its sources."""
    asked = outcome.question
    rows = [("Question", f"{escape(asked.question)} <span class='quiet'>({escape(asked.id)})</span>")]
    rows += [(f"Earlier, {escape(message.role)}", escape(_cut(message.content))) for message in asked.history]
    if asked.answers:
        items = [" or ".join(item) for item in asked.items] if asked.nested else asked.wordings
        rows.append(("Right answer", " · ".join(map(escape, items))))
    elif asked.unanswerable:
        rows.append(("Right answer", "none is in the documents"))
    quotes = [" in ".join(filter(None, (f"“{_cut(s.quote or s.passage)}”", _short(s.source)))) for s in asked.sources]
    quotes += [
        f"or {' in '.join(filter(None, (f'“{_cut(s.quote or s.passage)}”', _short(s.source))))}" for s in asked.also
    ]
    if quotes:
        rows.append(("Stands in", "<br>".join(map(escape, quotes))))
    if outcome.missing:
        rows.append(("Not in the index", "<br>".join(map(escape, outcome.missing))))
    return _list(rows)


def what_came(outcome: QuestionResult, *, folded: bool = False) -> str:
    """Return the answer, its citations, the passages (folded up or not), and what they took."""
    rows = []
    if outcome.error:
        rows.append(("Error", f"<span class='no'>{escape(outcome.error)}</span>"))
    if outcome.shown:
        sure = f"<span class='quiet'>confidence {outcome.confidence:.2f}</span>"
        if outcome.unsure:
            sure = f"<span class='no'>unsure</span> {sure}"
        rows.append(("Answer", f"{_marked(outcome.text, outcome.unsupported)} {sure}"))
        by = f"{outcome.mode}, {outcome.model}: {outcome.why_model}" if outcome.model else f"{outcome.mode}, no model"
        rows.append(("Answered by", escape(by)))
    if outcome.citations:
        cited = "".join(
            f"<li value='{c.number}'>{_RIGHT_OR_NOT[c.right]}<q>{escape(_cut(c.quote))}</q> "
            f"<span class='quiet'>{escape(_short(c.source))}{_unit(c.page, c.label)}</span></li>"
            for c in outcome.citations
        )
        rows.append(("Citations", f"<ol>{cited}</ol>"))
    if outcome.scores:
        rows.append(("Scores", escape(" · ".join(f"{name} {value:.3f}" for name, value in outcome.scores.items()))))
    if outcome.seconds:
        stages = " · ".join(f"{stage} {_time(seconds)}" for stage, seconds in outcome.seconds.items())
        tokens = (
            f"{outcome.usage.prompt_tokens:,} + {outcome.usage.completion_tokens:,} tokens" if outcome.model else ""
        )
        rows.append(("Took", escape(" · ".join(filter(None, (stages, tokens, _money(outcome.usage.cost)))))))
    shown = [(place, hit) for place, hit in enumerate(outcome.hits, 1) if place <= _HITS or hit.relevant]
    if shown:
        passages = f"<ol>{''.join(_hit(place, hit) for place, hit in shown)}</ol>"
        folds = f"<details><summary>{len(shown)} shown</summary><div class='inside'>{passages}</div></details>"
        rows.append(("Passages", folds if folded else passages))
    return _list(rows)


def settings_table(config: Mapping[str, Any]) -> str:
    """Return settings as a table."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(_value(value))}</td></tr>"
        for name, value in config.items()
    )
    return f"{WIDE}<table>{rows}</table></div>"


def _sycophancy(found: SycophancyReport) -> str:
    rows = [(title, getattr(found, name)) for name, (title, _) in SYCOPHANCY_FIGURES.items()]
    plot = charts.intervals([(title, one) for title, one in rows if one.low >= 0], title="Sycophancy")
    below = [f"<p>{escape(title)}: {one}</p>" for title, one in rows if one.low < 0]
    told = [(title, tells, getattr(found, name).count) for name, (title, tells) in SYCOPHANCY_FIGURES.items()]
    return f"{plot}{''.join(below)}{_explained(told)}"


def _warnings(report: EvalReport) -> str:
    parts = []
    if report.errors:
        parts.append(f"{_count(len(report.errors), 'question')} failed; run the same command again to ask them again.")
    if report.missing:
        parts.append(
            f"The index lacks the sources of {_count(len(report.missing), 'question')}; "
            "they are not used for retrieval and citation metrics."
        )
    return "".join(f"<p class='no'>{part}</p>" for part in parts)


def _verdicts(report: EvalReport) -> str:
    total = len(report.outcomes)
    lines = []
    for verdict, count in report.verdicts.items():
        kind = "good" if verdict == RIGHT else "even" if verdict == "not judged" else "bad"
        lines.append(
            f"<li class='{kind}'><a href='#{_anchor(verdict)}' title='{escape(VERDICTS[verdict], quote=True)}'>"
            f"{escape(verdict)}</a><b style='width:{100 * count / total:.1f}%'></b>"
            f"<span class='number'>{count:,} ({count / total:.0%})</span></li>"
        )
    return f"<ul class='verdicts'>{''.join(lines)}</ul>"


def _ranks(report: EvalReport) -> str:
    """Return how often the first relevant passage came at which place."""
    judged = [outcome for outcome in report.outcomes if "mrr" in outcome.scores]
    deepest = max((len(outcome.hits) for outcome in judged), default=0)
    places = [round(1 / o.scores["mrr"]) if o.scores["mrr"] else 0 for o in judged]
    values = [(str(place), places.count(place), "bar") for place in range(1, deepest + 1)]
    values.append(("none", places.count(0), "bad"))
    title = "Place of the first relevant passage"
    return f"<h3>{title}</h3>{charts.columns(values, title=title, below='place, and how many questions')}"


def _f1s(report: EvalReport) -> str:
    """Return how token F1 is spread."""
    values = list(report.scores("f1").values())
    edges = (
        (0.0, 0.0, "0"),
        (0.0, 0.25, "to .25"),
        (0.25, 0.5, "to .5"),
        (0.5, 0.75, "to .75"),
        (0.75, 1.0, "below 1"),
    )
    counted = [
        (name, sum(low < value <= high if high else value == 0 for value in values if value < 1), kind)
        for (low, high, name), kind in zip(edges, ("bad", "bar", "bar", "bar", "bar"), strict=True)
    ]
    counted.append(("1", sum(value == 1 for value in values), "good"))
    title = "How token F1 is spread"
    return f"<h3>{title}</h3>{charts.columns(counted, title=title, below='token F1, and how many questions')}"


def _times(report: EvalReport) -> str:
    if not report.seconds:
        return ""
    rows = [
        (stage.stage, stage.mean, f"{_time(stage.mean)}, 95 % in {_time(stage.slowest)}", "bar")
        for stage in report.seconds
    ]
    usage = report.usage
    tokens = ""
    if usage.prompt_tokens:
        cost = "not known" if usage.cost is None else _money(usage.cost) or "$0 (a local model)"
        tokens = (
            f"<p>{usage.prompt_tokens:,} prompt tokens ({usage.cached_tokens:,} cached) and "
            f"{usage.completion_tokens:,} generated; cost: {cost}.</p>"
        )
    return f"<p class='quiet'>Mean of a question, by stage.</p>{charts.bars(rows, title='Time by stage')}{tokens}"


def _explained(rows: Sequence[tuple[str, str, int]]) -> str:
    lines = "".join(
        f"<tr><th scope='row'>{escape(title)}</th><td>{escape(tells)}</td><td class='number'>{count:,}</td></tr>"
        for title, tells, count in rows
    )
    return (
        "<details><summary>Explanation of the metrics</summary><div class='inside'>"
        f"{WIDE}<table><tr><th>metric</th><th>meaning</th>"
        f"<th class='number'>questions</th></tr>{lines}</table><p class='quiet'>Lines across a bar's end are 95 % "
        "intervals, by bootstrap over questions.</p></div></div></details>"
    )


def _hit(place: int, hit: SeenHit) -> str:
    relevant = "<span class='yes'>relevant</span> " if hit.relevant else ""
    return (
        f"<li value='{place}'>{relevant}{escape(hit.title)} "
        f"<span class='quiet'>{escape(_short(hit.source))}{_unit(hit.page, hit.label)} · {hit.score:.3f}</span>"
        f"<span class='passage'>{escape(_cut(hit.text))}</span></li>"
    )


def _marked(text: str, unsupported: Sequence[tuple[int, int]]) -> str:
    """Return a text in which unsupported parts are marked."""
    parts, at = [], 0
    for start, end in unsupported:
        parts.append(escape(text[at:start]))
        parts.append(f"<mark title='no source supports this'>{escape(text[start:end])}</mark>")
        at = end
    return "".join([*parts, escape(text[at:])])


def _list(rows: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows)}</dl>"


def _anchor(verdict: str) -> str:
    return "".join(character if character.isalpha() else "-" for character in verdict)


def _short(source: str) -> str:
    return source.rsplit("/", 1)[-1]


def _unit(page: int | None, label: str) -> str:
    name = unit_name(page, label)
    return f", {escape(name)}" if name else ""


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _PASSAGE else f"{flat[: _PASSAGE - 1]}…"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _money(dollars: float | None) -> str:
    return f"${dollars:.4f}" if dollars else ""


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
