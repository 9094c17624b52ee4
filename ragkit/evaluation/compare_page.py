"""A comparison of two runs as one HTML file: what was gained, then every question that changed."""

from __future__ import annotations

from html import escape

from ragkit.evaluation import charts
from ragkit.evaluation.compare import Change, Comparison, MetricGain
from ragkit.evaluation.page import WIDE, document, wanted, what_came


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as HTML."""
    before, after = comparison.before.name, comparison.after.name
    if before == after:
        before, after = f"{before} (first)", f"{after} (second)"
    title = f"{before} → {after}"
    worse = [change for change in comparison.changes if change.difference < 0]
    better = [change for change in reversed(comparison.changes) if change.difference > 0]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='quiet'>{len(comparison.changes):,} questions in both runs.</p>",
        _only(comparison),
        "<h2>What the second gains</h2>",
        charts.gains([(one.info.title, one.gain) for one in comparison.gains], title="Gains"),
        "<p class='quiet'>Mean difference of a question with its 95 % interval, by paired bootstrap. Where the line "
        "crosses 0, chance alone may have made the difference.</p>",
        _table(comparison, before, after),
        "<h2>Question by question</h2>",
        charts.differences([change.difference for change in comparison.changes], title="Difference of each question"),
    ]
    for heading, changes in ((f"Worse: {len(worse):,}", worse), (f"Better: {len(better):,}", better)):
        parts.append(f"<h3>{heading}</h3>")
        parts += [_change(change, before, after) for change in changes]
    parts += ["<h2>What was set differently</h2>", _settings(comparison, before, after)]
    return document(title, parts)


def summary(comparison: Comparison) -> str:
    """Return the gains as a table, for notebooks; it looks as the page around it does."""
    return _table(comparison, comparison.before.name, comparison.after.name)


def _table(comparison: Comparison, before: str, after: str) -> str:
    rows = "".join(map(_row, comparison.gains))
    heads = "".join(
        f"<th class='number'>{escape(head)}</th>" for head in (before, after, "gain", "better", "worse", "equal")
    )
    took = ""
    if comparison.seconds is not None:
        s = comparison.seconds
        took = f"<p>Seconds a question takes, second less first: {s.mean:+.2f} ({s.low:+.2f} to {s.high:+.2f}).</p>"
    return f"{WIDE}<table><tr><th>metric</th>{heads}</tr>{rows}</table></div>{took}"


def _row(one: MetricGain) -> str:
    kind = ("yes" if one.gain.mean > 0 else "no") if one.significant else "quiet"
    change = f"<span class='{kind}'>{one.gain.mean:+.3f} ({one.gain.low:+.3f} to {one.gain.high:+.3f})</span>"
    cells = (f"{one.before.mean:.3f}", f"{one.after.mean:.3f}", change, one.better, one.worse, one.equal)
    return (
        f"<tr><th scope='row'>{escape(one.info.title)}</th>"
        f"{''.join(f'<td class=number>{cell}</td>' for cell in cells)}</tr>"
    )


def _change(change: Change, before: str, after: str) -> str:
    kind = "yes" if change.difference > 0 else "no"
    halves = "".join(
        f"<section><h4>{escape(name)}: {escape(one.verdict)}</h4>{what_came(one, folded=True)}</section>"
        for name, one in ((before, change.before), (after, change.after))
    )
    return (
        f"<details><summary><span class='score'><span class='{kind}'>{change.difference:+.2f}</span></span>"
        f"{escape(change.before.question.question)} <span class='quiet'>{escape(change.before.verdict)} → "
        f"{escape(change.after.verdict)}</span></summary>"
        f"<div class='inside'>{wanted(change.before)}<div class='pair'>{halves}</div></div></details>"
    )


def _settings(comparison: Comparison, before: str, after: str) -> str:
    if not comparison.settings:
        return "<p>Nothing.</p>"
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(str(first))}</td><td>{escape(str(second))}</td></tr>"
        for name, (first, second) in comparison.settings.items()
    )
    heads = f"<tr><th>setting</th><th>{escape(before)}</th><th>{escape(after)}</th></tr>"
    return f"{WIDE}<table>{heads}{rows}</table></div>"


def _only(comparison: Comparison) -> str:
    left = len(comparison.only_before), len(comparison.only_after)
    if not any(left):
        return ""
    return (
        f"<p class='no'>Left out: {left[0]:,} questions that only the first run has, {left[1]:,} only the second.</p>"
    )
