"""Text of pictures with rapidocr, whose models are bundled with its package; nothing is downloaded."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from ragkit.documents.base import Issue, OcrNeededError, Source
from ragkit.documents.pdf_layout import Line, Part, Word, reading_order

INSTALL = "Install OCR and add the file again: pip install 'ragkit[ocr]'."
DPI = 200
"""Resolution of drawn pages. Small print needs no more, and memory grows with its square."""
MOST_PIXELS = 12_000_000
_LOW = 0.8
"""Mean confidence of a page below which it is read upside down as well, and reported."""
_LEAST = 0.5
"""Confidence below which a line is left out: it is mostly noise, or a part of a drawing."""
_MOSTLY = 0.5
"""Share of the letters in upright lines below which a page is taken to lie on its side."""
_SHORT = 3
"""Letters of a line below which its shape says nothing about its direction."""
_LINE_HEIGHT = 11.0
"""Points that most lines of a page are taken to be high."""
_THREADS = 2


def available() -> bool:
    """Return whether the extra is installed."""
    return find_spec("rapidocr") is not None


def demand(source: Source, pages: int) -> bool:
    """Return whether pages can be read by OCR here.

    Raises:
        OcrNeededError: if they can, in a process with the limits of OCR.
    """
    if pages and not source.ocr and available():
        raise OcrNeededError(pages)
    return source.ocr


def read_picture(picture: Any) -> tuple[list[Line], float]:
    """Return the lines of a PIL picture in reading order, and their mean confidence, 0 to 1.

    A page that lies on its side or upside down is read upright. The lines' boxes are in pixels of the upright picture,
    y upwards, turned so that the text is horizontal; those of their parts are fractions of the given picture.
    """
    best = _read(picture)
    # The classifier of rapidocr takes single lines for upside down that are not, so complete pages are turned instead.
    turns = () if not best else (90, 270) if _upright(best) < _MOSTLY else (180,) if _confidence(best) < _LOW else ()
    for turn in turns:
        found = _read(picture, turn)
        if _confidence(found) * _upright(found) > _confidence(best) * _upright(best):
            best = found
        if min(_confidence(best), _upright(best)) >= _LOW:
            break
    best = [one for one in best if one.confidence >= _LEAST]
    if not best:
        return [], 1.0
    angle = statistics.median(
        math.atan2(box[1][1] - box[0][1], box[1][0] - box[0][0]) for box in (one.box for one in best)
    )
    # The layout is found in points, and the resolution of a picture is unknown.
    point = max(statistics.median(_height(one.box) for one in best) / _LINE_HEIGHT, 0.01)
    words = [_word(one, angle, point) for one in best]
    words.sort(key=lambda word: (-word.y1, word.x0))
    lines = [
        replace(line, x0=line.x0 * point, y0=line.y0 * point, x1=line.x1 * point, y1=line.y1 * point)
        # Each word is a line as it was found, which does not reach over a gutter.
        for line in reading_order(words, gap=0.0)
    ]
    return lines, _confidence(best)


@dataclass(frozen=True, slots=True)
class _Found:
    """A detected line: four corners in pixels, clockwise from the top left."""

    box: list[list[float]]
    text: str
    confidence: float
    parts: tuple[Part, ...]


def _read(picture: Any, turn: int = 0) -> list[_Found]:
    """Return the lines of a picture, turned by some degrees counterclockwise, as rapidocr finds them."""
    import numpy as np

    if turn:
        picture = picture.rotate(turn, expand=True)

    scale = min(1.0, (MOST_PIXELS / max(picture.width * picture.height, 1)) ** 0.5)
    # Few large words on an empty page are found at a lower resolution only.
    for smaller in (1, 2):
        part = scale / smaller
        size = (max(1, int(picture.width * part)), max(1, int(picture.height * part)))
        # OpenCV's order of colours.
        pixels = np.asarray(picture.convert("RGB").resize(size))[:, :, ::-1]
        result = _engine()(np.ascontiguousarray(pixels), use_cls=False, return_word_box=True)
        if result.boxes is not None and len(result.boxes):
            words = result.word_results if len(result.word_results) == len(result.txts) else [()] * len(result.txts)
            lines = zip(result.boxes, result.txts, result.scores, words, strict=True)
            return [
                _Found((box / part).tolist(), text, float(score), _parts(text, box, found, size, turn))
                for box, text, score, found in lines
                if text.strip()
            ]
    return []


def _parts(
    text: str, box: Any, words: Sequence[tuple[str, float, Any]], size: tuple[int, int], turn: int
) -> tuple[Part, ...]:
    """Return the words of a line with their boxes in the picture before it was turned; the line where they differ."""
    boxes = [(word, corners) for word, _, corners in words]
    if "".join("".join(word for word, _ in boxes).split()) != "".join(text.split()):
        boxes = [(text, box)]
    parts = []
    for word, corners in boxes:
        places = [_before_turn(x / size[0], y / size[1], turn) for x, y in corners]
        xs, ys = [x for x, _ in places], [y for _, y in places]
        parts.append(Part(word, min(xs), min(ys), max(xs), max(ys)))
    return tuple(parts)


def _before_turn(x: float, y: float, turn: int) -> tuple[float, float]:
    """Return the place, as fractions, that a place had in a picture before it was turned."""
    return {0: (x, y), 90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[turn]


def _confidence(found: Sequence[_Found]) -> float:
    """Return the mean confidence of the letters; 0 if there are none."""
    letters = sum(len(one.text) for one in found)
    return sum(len(one.text) * one.confidence for one in found) / letters if letters else 0.0


def _upright(found: Sequence[_Found]) -> float:
    """Return the share of the letters in lines that are wider than high; rapidocr turns higher ones to read them."""
    letters = sum(len(one.text) for one in found)
    wide = sum(len(one.text) for one in found if _width(one.box) >= _height(one.box) or len(one.text) < _SHORT)
    return wide / letters if letters else 0.0


def _width(box: list[list[float]]) -> float:
    return math.dist(box[0], box[1])


def _height(box: list[list[float]]) -> float:
    return math.dist(box[0], box[3])


def confidence_issue(source: Source, confidence: float, page: int | None) -> list[Issue]:
    """Return an issue if the confidence of a page's OCR is low."""
    if confidence >= _LOW:
        return []
    detail = f"The page was read by OCR with a confidence of {confidence:.0%}: words may be wrong."
    return [source.issue("low_confidence", detail, page, "Scan it again at 300 dpi.")]


def _word(found: _Found, angle: float, point: float) -> Word:
    """Return a line's box in points, deskewed and with y upwards.

    Args:
        found: line to convert.
        angle: skew of the page, in radians.
        point: pixels per point.
    """
    cos, sin = math.cos(-angle), math.sin(-angle)
    xs = [(x * cos - y * sin) / point for x, y in found.box]
    ys = [-(x * sin + y * cos) / point for x, y in found.box]
    return Word(" ".join(found.text.split()), min(xs), min(ys), max(xs), max(ys), parts=found.parts)


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS})
