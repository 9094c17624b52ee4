"""The report of an adaptation as one HTML page with plots; it has no script and loads nothing."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from ragkit.adaptation.report import AdaptReport, StageResult
from ragkit.evaluation import charts
from ragkit.evaluation.page import WIDE, document
from ragkit.tuning.comparison import Estimate

TITLES = {
    "questions": "Questions from the documents",
    "embedder": "Embedding model",
    "reader": "Language model (LoRA)",
    "examples": "Examples in the prompt",
    "thresholds": "Thresholds of answering",
}
WHO = {"people": "questions of people", "generated": "generated questions"}


def adaptation_page(report: AdaptReport) -> str:
    """Return a report as HTML."""
    title = f"Adaptation of {report.index}"
    measured = [stage for stage in report.stages if stage.gain is not None]
    promoted = [TITLES[stage.name].casefold() for stage in report.stages if stage.promoted]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>In use now: {escape(', '.join(promoted))}.</p>" if promoted else "<p>Nothing was promoted.</p>",
        "<p class='quiet'>A stage is promoted only if the 95 % interval of its gain on held-out documents, by paired "
        "bootstrap, is above 0.</p>",
    ]
    if measured:
        rows = [(TITLES[stage.name], _within(stage.gain)) for stage in measured if stage.gain is not None]
        parts += ["<h2>Gains</h2>", charts.gains(rows, title="Gain of each stage")]
    parts += ["<h2>Stages</h2>", _table(report)]
    for stage in measured:
        if stage.before is not None and stage.after is not None:
            name = f"{TITLES[stage.name]}: {stage.metric}"
            parts.append(f"<h3>{escape(name)}</h3>")
            parts.append(
                charts.intervals(
                    [("before", _within(stage.before, 0.0)), ("after", _within(stage.after, 0.0))], title=name
                )
            )
            parts.append(f"<p>{escape(stage.why)} Decided by {escape(WHO[stage.decided_by])}.</p>")
    parts.append("<h2>Questions</h2>")
    counts = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td class='number'>{count:,}</td></tr>"
        for name, count in report.counts.items()
    )
    parts.append(f"{WIDE}<table>{counts}</table></div>")
    gates = next((stage.details.get("rejected") for stage in report.stages if stage.name == "questions"), None)
    if gates:
        bars = [(gate, float(count), f"{count:,}", "bar") for gate, count in gates.items()]
        parts += ["<h3>Rejected questions, by gate</h3>", charts.bars(bars, title="Rejected questions, by gate")]
    parts.append("<h2>Details</h2>")
    parts += [_details(stage) for stage in report.stages]
    return document(title, parts)


def _within(one: Estimate, low: float = -1.0) -> Estimate:
    """Return an estimate for a plot; the interval of a weighted mean can end beyond the possible values."""
    return replace(one, low=max(low, one.low), high=min(1.0, one.high))


def _table(report: AdaptReport) -> str:
    heads = "".join(f"<th>{head}</th>" for head in ("stage", "before", "after", "gain (95 %)", "result", "why"))
    return f"{WIDE}<table><tr>{heads}</tr>{''.join(map(_row, report.stages))}</table></div>"


def _row(stage: StageResult) -> str:
    numbers = ["", "", ""]
    if stage.before is not None and stage.after is not None and stage.gain is not None:
        one = stage.gain
        interval = f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        numbers = [f"{stage.before.mean:.3f}", f"{stage.after.mean:.3f}", interval]
    kind = {"promoted": "yes", "failed": "no"}.get(stage.status, "quiet")
    cells = "".join(f"<td class='number'>{number}</td>" for number in numbers)
    return (
        f"<tr><th scope='row'>{escape(TITLES[stage.name])}</th>{cells}<td><span class='{kind}'>{stage.status}</span>"
        f"</td><td>{escape(stage.why)}</td></tr>"
    )


def _details(stage: StageResult) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(name.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in {"seconds": round(stage.seconds, 1), **stage.details}.items()
    )
    return (
        f"<details><summary>{escape(TITLES[stage.name])}</summary><div class='inside'>{WIDE}<table>{rows}</table></div>"
        "</div></details>"
    )
