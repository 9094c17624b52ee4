"""The process that draws pages of PDF files and pictures, with requests and results in JSON; see ``_child.serve``."""

from __future__ import annotations

import base64
import ctypes
import io
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ragkit._child import serve
from ragkit.serving.quote_boxes import Box, find_quote, lines

_DEVICE = 1_000_000
"""Units that a page's width and height are divided into when places on it are asked for."""
_MOST_PIXELS = 8_000_000
_MOST_CHARACTERS = 200_000
"""Maximum number of characters of a page that are searched."""


def answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the one result of a request, or the error."""
    try:
        yield _answer(request)
    except Exception as error:  # noqa: BLE001  the library may raise anything on a damaged file
        yield {"error": f"{type(error).__name__}: {error}"}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["picture"]:
        return _picture(request)
    import pypdfium2  # type: ignore[import-untyped]

    with open(request["path"], "rb") as file, pypdfium2.PdfDocument(file) as document:  # noqa: PTH123
        number = request["number"]
        if not 1 <= number <= len(document):
            return {"error": "no such page"}
        page = document[number - 1]
        if request["do"] == "draw":
            return {"png": _png(page, request["width"])}
        width, height = page.get_size()
        if request["do"] == "measure":
            return {"width": width, "height": height}
        rects = _rects(page, request["text"], request["start"], request["end"])
        return {"width": width, "height": height, "rects": rects}


def _picture(request: dict[str, Any]) -> dict[str, Any]:
    """Draw or measure a frame of a picture as OCR read it."""
    from ragkit.documents.images import open_picture, upright

    with open_picture(Path(request["path"])) as picture:
        if not 1 <= request["number"] <= getattr(picture, "n_frames", 1):
            return {"error": "no such page"}
        picture.seek(request["number"] - 1)
        if request["do"] == "draw":
            # JPEG is decoded at a lower resolution.
            picture.draft("RGB", (request["width"], request["width"]))
        frame = upright(picture)
        if request["do"] == "measure":
            return {"width": frame.width, "height": frame.height}
        scale = min(request["width"] / frame.width, (_MOST_PIXELS / (frame.width * frame.height)) ** 0.5)
        return {"png": _encoded(frame.resize((max(1, int(frame.width * scale)), max(1, int(frame.height * scale)))))}


def _png(page: Any, width: int) -> str:
    across, down = page.get_size()
    scale = width / across
    # A page may claim to be a millimetre wide and a kilometre long.
    scale = min(scale, (_MOST_PIXELS / (across * down)) ** 0.5)
    return _encoded(page.render(scale=scale, may_draw_forms=False).to_pil())


def _encoded(picture: Any) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return base64.b64encode(out.getvalue()).decode()


def _rects(page: Any, text: str, start: int, end: int) -> list[Box]:
    """Return the lines of the quote ``text[start:end]`` as fractions of the page, from the top left."""
    from pypdfium2 import raw

    words = page.get_textpage()
    count = min(words.count_chars(), _MOST_CHARACTERS)
    characters = [_character(raw.FPDFText_GetUnicode(words, index)) for index in range(count)]
    found: list[Box] = []
    for first, last in find_quote(text, start, end, characters):
        boxes = (_box(page, words, index) for index in range(first, last + 1))
        found += lines([box for box in boxes if box is not None])
    return found


def _character(code: int) -> str:
    return chr(code) if 0 < code < sys.maxunicode and not 0xD800 <= code < 0xE000 else " "


def _box(page: Any, words: Any, index: int) -> Box | None:
    """Return where a character is, the full font height, with the page turned as it is shown; None if unseen."""
    left, bottom, right, top = words.get_charbox(index, loose=True)
    if right <= left or top <= bottom:
        left, bottom, right, top = words.get_charbox(index)
    if right <= left or top <= bottom:
        return None
    (x0, y0), (x1, y1) = _on_page(page, left, top), _on_page(page, right, bottom)
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if x1 <= 0 or x0 >= 1 or y1 <= 0 or y0 >= 1:
        return None
    return max(0.0, x0), max(0.0, y0), min(1.0, x1), min(1.0, y1)


def _on_page(page: Any, x: float, y: float) -> tuple[float, float]:
    from pypdfium2 import raw

    right, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _DEVICE, _DEVICE, 0, x, y, ctypes.byref(right), ctypes.byref(down))
    return right.value / _DEVICE, down.value / _DEVICE


if __name__ == "__main__":
    # Loaded before the first request's time begins.
    import_module("pypdfium2")
    serve(answer)
