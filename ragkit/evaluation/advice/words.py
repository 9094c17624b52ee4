"""Sentences that summarise an advice, with the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.evaluation.advice.curves import FEW, REACH

if TYPE_CHECKING:
    from ragkit.evaluation.advice.advise import Advice, MethodReport, Point
    from ragkit.evaluation.advice.curves import Forecast

TITLES = {
    "neighbours": "neighbours (votes and probe, no language model)",
    "examples": "examples (a language model with few-shot prompts)",
    "head": "head (a head on the frozen embedder)",
    "tuned-head": "tuned-head (a head on the fine-tuned embedder)",
    "lora": "lora (a fine-tuned language model)",
}


def words(advice: Advice) -> tuple[str, ...]:
    """Return sentences: the recommendation, why not another method, and the value of more labels."""
    own = advice.of(advice.recommended)
    found = [
        f"Use {TITLES[own.method]}: accuracy {own.full.accuracy:.3f} on {advice.held_out:,} held-out inputs "
        f"({own.full.low:.3f} to {own.full.high:.3f}), fit time {_seconds(own.full.fit_seconds)}, "
        f"{_seconds(own.full.seconds_per_thousand)}{_dollars(own.full)} for 1,000 inputs."
    ]
    if advice.most_accurate == own.method:
        found.append("It is the most accurate of the measured methods.")
    else:
        best = advice.of(advice.most_accurate).full
        found.append(
            f"The most accurate is {advice.most_accurate} with {best.accuracy:.3f}; the difference is not significant "
            f"({own.behind.mean:+.3f}, {own.behind.low:+.3f} to {own.behind.high:+.3f}), and it takes "
            f"{_seconds(best.seconds_per_thousand)}{_dollars(best)} for 1,000 inputs."
        )
    found += [
        f"{report.method} is significantly less accurate than {advice.most_accurate}: by {report.behind.mean:.3f} "
        f"({report.behind.low:.3f} to {report.behind.high:.3f})."
        for report in advice.methods
        if report.worse
    ]
    if advice.held_out < FEW:
        found.append(
            f"Only {advice.held_out} examples are held out: too few to detect small differences between the methods."
        )
    found += [f"{method} was not measured: {why}." for method, why in advice.left_out.items()]
    if advice.unmeasured:
        found.append(
            f"{len(advice.unmeasured)} label{'' if len(advice.unmeasured) == 1 else 's'} without held-out examples: "
            f"{_some(advice.unmeasured)}."
        )
    return (*found, *_further(advice, own))


def _further(advice: Advice, own: MethodReport) -> list[str]:
    """Return the estimated value of more labelled examples."""
    if own.curve is None:
        return [
            "The value of more labels can't be estimated: a learning curve needs three training set sizes, "
            f"got {len(own.points)}."
        ]
    form = "a·n^-b" if own.curve.sizes < 4 else "c + a·n^-b"
    found = [
        f"Value of more labels, from learning curves error = {form} through {own.curve.sizes} sizes. These are "
        f"extrapolations beyond the {advice.examples:,} training examples, up to {REACH} times as many, with one "
        "sample of examples per size; the intervals cover only the sampling of the held-out inputs:"
    ]
    found.append(f"- One percentage point more for {own.method}: {_forecast_text(advice.one_point)}.")
    rivals = [(report.method, report.overtakes) for report in advice.methods if report.overtakes is not None]
    found += [f"- {method} overtakes {own.method}: {_forecast_text(forecast)}." for method, forecast in rivals]
    return found


def _forecast_text(forecast: Forecast) -> str:
    if forecast.examples is None:
        return f"no estimate; {forecast.why}"
    return f"at about {forecast.examples:,} examples ({forecast.low:,} to {forecast.high:,})"


def _dollars(point: Point) -> str:
    if point.dollars_per_thousand is None:
        return " at an unknown price"
    return f" and ${point.dollars_per_thousand:.2f}" if point.dollars_per_thousand else ""


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
