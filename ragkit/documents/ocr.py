"""Text of pictures with rapidocr, whose models come with its package: nothing is fetched."""

from __future__ import annotations

import math
import statistics
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
"""Mean confidence of a page below which it is reported."""
_LEAST = 0.5
"""Confidence below which a line is left out: it is mostly noise, or a part of a drawing."""
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

    The lines' boxes are in pixels, y upwards, turned so that the text is horizontal.
    """
    import numpy as np

    scale = min(1.0, (MOST_PIXELS / max(picture.width * picture.height, 1)) ** 0.5)
    if scale < 1:
        picture = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
    # Few large words on an empty page are found at a lower resolution only.
    for smaller in (1, 2):
        size = (max(1, picture.width // smaller), max(1, picture.height // smaller))
        # OpenCV's order of colours.
        pixels = np.asarray(picture.convert("RGB").resize(size))[:, :, ::-1]
        result = _engine()(np.ascontiguousarray(pixels))
        if result.boxes is not None and len(result.boxes):
            break
    else:
        return [], 1.0
    found = [
        ((box * smaller / scale).tolist(), text, float(score))
        for box, text, score in zip(result.boxes, result.txts, result.scores, strict=True)
        if score >= _LEAST and text.strip()
    ]
    if not found:
        return [], 1.0
    angle = statistics.median(math.atan2(box[1][1] - box[0][1], box[1][0] - box[0][0]) for box, _, _ in found)
    words = [_word(box, text, angle) for box, text, _ in found]
    words.sort(key=lambda word: (-word.y1, word.x0))
    letters = sum(len(text) for _, text, _ in found)
    return reading_order(words), sum(len(text) * score for _, text, score in found) / letters


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
