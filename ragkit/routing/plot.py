"""A report as a picture, or as a page with the picture and its numbers."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from pathlib import Path

from ragkit._files import write_atomically
from ragkit.errors import MissingExtraError, SettingsError
from ragkit.routing.report import RouteReport

_LOOKS = {"router": ("C0", "-"), "margin": ("C1", "-"), "random": ("C7", "--"), "best possible": ("C2", ":")}
_SHOWN = (0, 2, 4, 6, 8, 10, 14, 20)
"""Numbers of the rates in the table."""


def plot(report: RouteReport, file: str | Path) -> None:
    """Write a report as ``.png`` or ``.html``.

    Raises:
        SettingsError: if the file's name ends in neither.
        MissingExtraError: if matplotlib is not installed.
    """
    path = Path(file)
    if path.suffix not in (".png", ".html"):
        raise SettingsError(f"{path} is neither .png nor .html.", "Name a file that ends in one of them.")
    picture = _picture(report)
    write_atomically(path, picture if path.suffix == ".png" else _page(report, picture).encode())


def _picture(report: RouteReport) -> bytes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "notebooks", "to plot a report") from error
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for curve in report.curves:
        colour, line = _LOOKS[curve.name]
        axes[0].plot(report.rates, curve.accuracy, line, color=colour, label=curve.name)
        axes[1].plot(curve.cost, curve.accuracy, line, color=colour, label=curve.name)
    for alone, mark, place in ((report.primary, "s", 0.0), (report.fallback, "D", 1.0)):
        axes[0].plot([place], [alone.accuracy], mark, color="C3", label=alone.name)
        axes[1].plot([alone.cost], [alone.accuracy], mark, color="C3", label=alone.name)
    axes[0].plot([report.rate], [report.accuracy], "o", color="C0", label="own threshold")
    axes[1].plot([report.cost], [report.accuracy], "o", color="C0", label="own threshold")
    axes[0].set(xlabel="share of inputs that go to the fallback", ylabel="accuracy")
    axes[1].set(xlabel="mean cost of an input")
    axes[0].legend(fontsize="small")
    for one in axes:
        one.grid(alpha=0.3)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=130)
    return content.getvalue()


def _page(report: RouteReport, picture: bytes) -> str:
    heads = "".join(f"<th>{report.rates[number]:.0%}</th>" for number in _SHOWN)
    lines = "".join(
        f"<tr><th>{escape(curve.name)}</th>{''.join(f'<td>{curve.accuracy[n]:.4f}</td>' for n in _SHOWN)}</tr>"
        for curve in report.curves
    )
    shown = base64.b64encode(picture).decode()
    return (
        "<!doctype html><meta charset='utf-8'><title>When to fall back</title>"
        "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:right}</style>"
        f"<h1>When to fall back</h1><p>{report.rows:,} rows. {escape(told(report))}</p>"
        f"<img alt='accuracy against deferral and cost' src='data:image/png;base64,{shown}'>"
        f"<table><tr><th>accuracy at a deferral of</th>{heads}</tr>{lines}</table>"
    )


def told(report: RouteReport) -> str:
    """Return a report's main numbers in a sentence."""
    return (
        f"The primary alone is right on {report.primary.accuracy:.4f}, the fallback on {report.fallback.accuracy:.4f}; "
        f"falling back on {report.rate:.1%} of the inputs, both together on {report.accuracy:.4f} "
        f"(at least {report.lower:.4f}, with a confidence of 95%)."
    )
