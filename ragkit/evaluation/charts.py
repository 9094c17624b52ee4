"""Plots as SVG, drawn by hand: no plotting library, no script, and colours that follow the page's."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ragkit.tuning.comparison import Estimate

_WIDTH = 640
_ROW = 30
_LABEL = 170
"""Width of the column of names."""
_VALUE = 150
"""Width of the column of numbers."""


def intervals(rows: Sequence[tuple[str, Estimate]], *, title: str) -> str:
    """Return a bar for each mean, from 0 to 1, with its interval as a line across the bar's end."""
    parts = _axis(len(rows), 0, 1, (0, 0.25, 0.5, 0.75, 1))
    for row, (name, one) in enumerate(rows):
        y = _top(row)
        parts.append(_name(row, name))
        parts.append(f"<rect class='bar' x='{_x(0):.1f}' y='{y + 7}' width='{_length(one.mean):.1f}' height='16'/>")
        parts.append(_whisker(row, _x(one.low), _x(one.high)))
        parts.append(_number(row, f"{one.mean:.3f}", f"{one.low:.2f} – {one.high:.2f}"))
    told = "; ".join(f"{name} {one}" for name, one in rows)
    return _svg(parts, _top(len(rows)) + 24, f"{title}: {told}")


def gains(rows: Sequence[tuple[str, Estimate]], *, title: str) -> str:
    """Return a point with its interval for each difference, around a line at 0."""
    widest = max((abs(edge) for _, one in rows for edge in (one.low, one.high)), default=0)
    reach = next(reach for reach in (0.1, 0.2, 0.5, 1) if widest <= reach)
    parts = _axis(len(rows), -reach, reach, (-reach, -reach / 2, 0, reach / 2, reach))
    for row, (name, one) in enumerate(rows):
        kind = "good" if one.low > 0 else "bad" if one.high < 0 else "even"
        parts.append(_name(row, name))
        parts.append(_whisker(row, _x(one.low, -reach, reach), _x(one.high, -reach, reach), kind))
        parts.append(f"<circle class='{kind}' cx='{_x(one.mean, -reach, reach):.1f}' cy='{_top(row) + 15}' r='5'/>")
        parts.append(_number(row, _signed(one.mean, 3)))
    told = "; ".join(f"{name} {one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})" for name, one in rows)
    return _svg(parts, _top(len(rows)) + 24, f"{title}: {told}")


def bars(rows: Sequence[tuple[str, float, str, str]], *, title: str) -> str:
    """Return a bar for each number.

    Args:
        rows: name, length, label, and ``good``, ``bad`` or ``bar`` for the colour.
        title: text alternative for screen readers.
    """
    most = max([length for _, length, _, _ in rows], default=0) or 1
    parts = []
    for row, (name, length, text, kind) in enumerate(rows):
        width = _length(length / most)
        parts.append(_name(row, name))
        parts.append(f"<rect class='{kind}' x='{_x(0):.1f}' y='{_top(row) + 7}' width='{width:.1f}' height='16'/>")
        parts.append(f"<text class='value' x='{_x(0) + width + 8:.1f}' y='{_top(row) + 20}'>{escape(text)}</text>")
    told = "; ".join(f"{name}: {text}" for name, _, text, _ in rows)
    return _svg(parts, _top(len(rows)) + 4, f"{title}. {told}")


def columns(values: Sequence[tuple[str, int, str]], *, title: str, below: str) -> str:
    """Return a column for each count.

    Args:
        values: name, count, and ``good``, ``bad`` or ``bar`` for its colour.
        title: text alternative for screen readers.
        below: axis label for the names.
    """
    most = max([count for _, count, _ in values], default=0) or 1
    step = _WIDTH / max(1, len(values))
    parts = []
    for number, (name, count, kind) in enumerate(values):
        height, middle = 130 * count / most, step * (number + 0.5)
        parts.append(
            f"<rect class='{kind}' x='{middle - step * 0.38:.1f}' y='{154 - height:.1f}' width='{step * 0.76:.1f}' "
            f"height='{height:.1f}'/>"
            f"<text class='middle value' x='{middle:.1f}' y='{148 - height:.1f}'>{count or ''}</text>"
            f"<text class='middle' x='{middle:.1f}' y='172'>{escape(name)}</text>"
        )
    parts.append(f"<line class='axis' x1='0' y1='154' x2='{_WIDTH}' y2='154'/>")
    parts.append(f"<text class='middle quiet' x='{_WIDTH / 2}' y='194'>{escape(below)}</text>")
    told = "; ".join(f"{name}: {count}" for name, count, _ in values)
    return _svg(parts, 200, f"{title}. {told}")


def differences(values: Sequence[float], *, title: str) -> str:
    """Return a thin column for each question's difference, -1 to 1, in the order they are given."""
    step = _WIDTH / max(1, len(values))
    parts = []
    for number, value in enumerate(values):
        if value:
            height, kind = 80 * abs(value), "good" if value > 0 else "bad"
            top = 110 - height if value > 0 else 110
            parts.append(
                f"<rect class='{kind}' x='{number * step:.2f}' y='{top:.1f}' width='{max(1.0, step * 0.86):.2f}' "
                f"height='{height:.1f}'/>"
            )
    parts.append(f"<line class='axis' x1='0' y1='110' x2='{_WIDTH}' y2='110'/>")
    up, down = sum(value > 0 for value in values), sum(value < 0 for value in values)
    parts.append(f"<text x='0' y='16'>{down} worse</text><text class='end' x='{_WIDTH}' y='16'>{up} better</text>")
    return _svg(parts, 200, f"{title}: {down} of {len(values)} questions got worse, {up} got better")


def _svg(parts: Sequence[str], height: float, told: str) -> str:
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height:.0f}' role='img' aria-label='{escape(told, quote=True)}'>"
        f"{''.join(parts)}</svg>"
    )


def _axis(rows: int, low: float, high: float, ticks: Sequence[float]) -> list[str]:
    bottom = _top(rows)
    parts = []
    for tick in ticks:
        x, form = _x(tick, low, high), _signed(tick) if low < 0 else f"{tick:g}"
        kind = "axis" if tick == 0 else "grid"
        parts.append(f"<line class='{kind}' x1='{x:.1f}' y1='4' x2='{x:.1f}' y2='{bottom}'/>")
        parts.append(f"<text class='middle quiet' x='{x:.1f}' y='{bottom + 16}'>{form}</text>")
    return parts


def _signed(value: float, digits: int | None = None) -> str:
    """Return a number with its sign, a true minus for those below 0."""
    if not value:
        return "0"
    size = f"{abs(value):g}" if digits is None else f"{abs(value):.{digits}f}"
    return f"{'+' if value > 0 else '−'}{size}"


def _top(row: int) -> int:
    return 4 + row * _ROW


def _length(share: float) -> float:
    return share * (_WIDTH - _LABEL - _VALUE)


def _x(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return _LABEL + _length((value - low) / (high - low))


def _whisker(row: int, low: float, high: float, kind: str = "whisker") -> str:
    y = _top(row) + 15
    ends = "".join(f"<line class='{kind}' x1='{x:.1f}' y1='{y - 5}' x2='{x:.1f}' y2='{y + 5}'/>" for x in (low, high))
    return f"<line class='{kind}' x1='{low:.1f}' y1='{y}' x2='{high:.1f}' y2='{y}'/>{ends}"


def _name(row: int, name: str) -> str:
    return f"<text class='end' x='{_LABEL - 10}' y='{_top(row) + 20}'>{escape(name)}</text>"


def _number(row: int, value: str, interval: str = "") -> str:
    y = _top(row) + 20
    return (
        f"<text class='value' x='{_WIDTH - _VALUE + 12}' y='{y}'>{value}</text>"
        f"<text class='quiet' x='{_WIDTH - _VALUE + 62}' y='{y}'>{interval}</text>"
    )
