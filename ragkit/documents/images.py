"""PNG, JPEG, TIFF, WebP and BMP pictures, read by OCR; each frame of a TIFF is a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.documents import ocr
from ragkit.documents.base import Issue, Source
from ragkit.documents.pdf_layout import Line
from ragkit.documents.pdf_text import join_hyphens, known_words, page_text
from ragkit.documents.word_boxes import locate
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, PageSpan, WordBoxes

_MOST_FRAMES = 2000
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the picture's text as one document, with a page for each frame, and an issue for each frame without."""
    from PIL import Image, ImageSequence

    try:
        with open_picture(source.path) as picture:
            frames = int(getattr(picture, "n_frames", 1))
            count = min(frames, _MOST_FRAMES)
            ocr.demand(source, count)
            if frames > count:
                detail = f"Only the first {count:,} of {frames:,} frames were read."
                yield source.issue("text_lost", detail, hint="Split the file.")
            media_type = Image.MIME.get(str(picture.format), "image/*")
            texts: list[str] = []
            read: list[list[Line]] = []
            confidences: list[float] = []
            for number, frame in enumerate(ImageSequence.Iterator(picture), 1):
                yield None
                lines, confidence = ocr.read_picture(upright(frame))
                texts.append(page_text(lines))
                read.append(lines)
                if not lines:
                    yield source.issue("page_without_text", "OCR found no text in the picture.", number)
                else:
                    confidences.append(confidence)
                    yield from ocr.confidence_issue(source, confidence, number)
                if number == count:
                    break
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableFileError(f"The picture is damaged ({type(error).__name__}).", "Export it again.") from error
    known = known_words(texts)
    pages: list[PageSpan] = []
    whole = ""
    for number, text in enumerate(texts, 1):
        whole += "\n\n" if number > 1 else ""
        start = len(whole)
        whole += join_hyphens(text, known)
        pages.append(PageSpan(number, start, len(whole)))
    if whole.strip():
        confidence = round(sum(confidences) / len(confidences), 3)
        found = zip(pages, read, strict=True)
        yield source.document(
            whole,
            media_type,
            metadata={"ocr_confidence": confidence, "pages": len(pages)},
            pages=tuple(pages),
            boxes=WordBoxes.of(box for page, lines in found for box in locate(whole, page.start, page.end, lines)),
        )


def open_picture(path: Path) -> Any:
    """Return a PIL picture of any size; it is scaled down to comply with the memory limit."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    return Image.open(path, formats=_FORMATS)


def upright(frame: Any) -> Any:
    """Return a frame as viewers show it: turned as its camera says, in 8 bits a colour, on white paper."""
    from PIL import Image, ImageOps

    frame = ImageOps.exif_transpose(frame)
    if frame.mode.startswith("I;16"):
        return frame.point(lambda value: value / 256).convert("L").convert("RGB")
    if not frame.has_transparency_data:
        return frame.convert("RGB")
    paper = Image.new("RGBA", frame.size, "white")
    paper.alpha_composite(frame.convert("RGBA"))
    return paper.convert("RGB")
