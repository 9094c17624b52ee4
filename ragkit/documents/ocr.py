"""Text of pictures with rapidocr, whose models come with its package: nothing is fetched."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from ragkit.documents.base import Issue, OcrNeededError, Source
from ragkit.documents.pdf_layout import Line, Word, reading_order

INSTALL = "Install OCR and add the file again: pip install 'ragkit[ocr]'."
DPI = 200
"""At which pages are drawn. Small print needs no more, and memory grows with the square."""
MOST_PIXELS = 12_000_000
_LOW = 0.8
"""Mean confidence of a page below which it is read upside down as well, and reported."""
_LEAST = 0.5
"""Confidence below which a line is left out: it is mostly noise, or a part of a drawing."""
_MOSTLY = 0.5
"""Share of the letters in upright lines below which a page is taken to lie on its side."""
_SHORT = 3
"""Letters of a line below which its shape says nothing about its direction."""
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
    y upwards, turned so that the text is horizontal.
    """
    best = _read(picture)
    # The classifier of rapidocr takes single lines for upside down that are not, so complete pages are turned instead.
    turns = () if not best else (90, 270) if _upright(best) < _MOSTLY else (180,) if _confidence(best) < _LOW else ()
    for turn in turns:
        found = _read(picture.rotate(turn, expand=True))
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
    words = [_word(one.box, one.text, angle) for one in best]
    words.sort(key=lambda word: (-word.y1, word.x0))
    return reading_order(words), _confidence(best)


@dataclass(frozen=True, slots=True)
class _Found:
    """A line that was found: four corners in pixels, from the top left clockwise."""

    box: list[list[float]]
    text: str
    confidence: float


def _read(picture: Any) -> list[_Found]:
    """Return the lines of a picture as rapidocr finds them."""
    import numpy as np

    scale = min(1.0, (MOST_PIXELS / max(picture.width * picture.height, 1)) ** 0.5)
    # Few large words on an empty page are found at a lower resolution only.
    for smaller in (1, 2):
        part = scale / smaller
        size = (max(1, int(picture.width * part)), max(1, int(picture.height * part)))
        # OpenCV's order of colours.
        pixels = np.asarray(picture.convert("RGB").resize(size))[:, :, ::-1]
        result = _engine()(np.ascontiguousarray(pixels), use_cls=False)
        if result.boxes is not None and len(result.boxes):
            lines = zip(result.boxes, result.txts, result.scores, strict=True)
            return [_Found((box / part).tolist(), text, float(score)) for box, text, score in lines if text.strip()]
    return []


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


def _word(box: list[list[float]], text: str, angle: float) -> Word:
    """Return a line's box, with the skew of the page taken out and y upwards."""
    cos, sin = math.cos(-angle), math.sin(-angle)
    xs = [x * cos - y * sin for x, y in box]
    ys = [-(x * sin + y * cos) for x, y in box]
    return Word(" ".join(text.split()), min(xs), min(ys), max(xs), max(ys))


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS})
