"""An advice in sentences, with the numbers that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.tuning.advice_curves import FEW, REACH

if TYPE_CHECKING:
    from ragkit.tuning.advice import Advice, Point, WayReport
    from ragkit.tuning.advice_curves import Forecast

TITLES = {
    "neighbours": "neighbours (votes and probe, no language model)",
    "examples": "examples (a language model that is shown examples chosen for each input)",
    "head": "head (on the embedder as it is)",
    "tuned-head": "tuned-head (a head on the embedder fine-tuned, where that gains)",
    "lora": "lora (a language model tuned on the labels)",
}


def words(advice: Advice) -> tuple[str, ...]:
    """Return sentences: what to do, why not another way, and what more labels would change."""
    own = advice.of(advice.recommended)
    found = [
        f"Use {TITLES[own.way]}: {own.full.accuracy:.3f} of {advice.held_out:,} held-out inputs are right "
        f"({own.full.low:.3f} to {own.full.high:.3f}), fitted in {_seconds(own.full.fit_seconds)}, "
        f"{_seconds(own.full.seconds_per_thousand)}{_dollars(own.full)} for 1,000 inputs."
    ]
    if advice.most_accurate == own.way:
        found.append("It is the most accurate of those measured.")
    else:
        best = advice.of(advice.most_accurate).full
        found.append(
            f"The most accurate is {advice.most_accurate} with {best.accuracy:.3f}; that it is better is not shown "
            f"({own.behind.mean:+.3f}, {own.behind.low:+.3f} to {own.behind.high:+.3f}), and it takes "
            f"{_seconds(best.seconds_per_thousand)}{_dollars(best)} for 1,000 inputs."
        )
    found += [
        f"{report.way} is shown to be worse than {advice.most_accurate}: by {report.behind.mean:.3f} "
        f"({report.behind.low:.3f} to {report.behind.high:.3f})."
        for report in advice.ways
        if report.worse
    ]
    if advice.held_out < FEW:
        found.append(
            f"Only {advice.held_out} examples are held out: differences between the ways can hardly be shown on so few."
        )
    found += [f"{way} was not measured: {why}." for way, why in advice.left_out.items()]
    if advice.unmeasured:
        found.append(f"Of {len(advice.unmeasured)} labels no example is held out: {_some(advice.unmeasured)}.")
    return (*found, *_further(advice, own))


def _further(advice: Advice, own: WayReport) -> list[str]:
    """Return what more labelled examples would change."""
    if own.curve is None:
        return [
            f"What more labels would change can't be told: {len(own.points)} sizes of training are too few for a curve."
        ]
    form = "a·n^-b" if own.curve.sizes < 4 else "c + a·n^-b"
    found = [
        f"More labels, by curves error = {form} through {own.curve.sizes} sizes. These are extrapolations beyond the "
        f"{advice.examples:,} examples learned from, up to {REACH} times as many, from one draw of examples a size; "
        "the intervals are of chance in the held-out inputs alone:"
    ]
    found.append(f"- One point more for {own.way}: {_told(advice.one_point)}.")
    rivals = [(report.way, report.overtakes) for report in advice.ways if report.overtakes is not None]
    found += [f"- When {way} overtakes {own.way}: {_told(forecast)}." for way, forecast in rivals]
    return found


def _told(forecast: Forecast) -> str:
    if forecast.examples is None:
        return f"no number; {forecast.why}"
    return f"at about {forecast.examples:,} examples ({forecast.low:,} to {forecast.high:,})"


def _dollars(point: Point) -> str:
    if point.dollars_per_thousand is None:
        return " and a price that is not known"
    return f" and ${point.dollars_per_thousand:.2f}" if point.dollars_per_thousand else ""


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
