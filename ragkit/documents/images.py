"""PNG, JPEG, TIFF, WebP and BMP pictures, read by OCR; each frame of a TIFF is a page."""

from __future__ import annotations

from collections.abc import Iterator

from ragkit.documents import ocr
from ragkit.documents.base import Issue, Source
from ragkit.documents.pdf_text import join_hyphens, known_words, page_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, PageSpan

_MOST_FRAMES = 2000
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the picture's text as one document, with a page for each frame, and an issue for each frame without."""
    from PIL import Image, ImageOps, ImageSequence

    # Pictures of any size are scaled down; the limit on memory holds for them.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(source.path, formats=_FORMATS) as picture:
            frames = int(getattr(picture, "n_frames", 1))
            count = min(frames, _MOST_FRAMES)
            ocr.demand(source, count)
            if frames > count:
                detail = f"Only the first {count:,} of {frames:,} frames were read."
                yield source.issue("text_lost", detail, hint="Split the file.")
            media_type = Image.MIME.get(str(picture.format), "image/*")
            texts: list[str] = []
            confidences: list[float] = []
            for number, frame in enumerate(ImageSequence.Iterator(picture), 1):
                yield None
                lines, confidence = ocr.read_picture(ImageOps.exif_transpose(frame))
                texts.append(page_text(lines))
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
        yield source.document(
            whole, media_type, metadata={"ocr_confidence": confidence, "pages": len(pages)}, pages=tuple(pages)
        )
