"""OCR: errors in rendered paragraphs beside Debian's tesseract, and which pages of PDF are read by OCR.

``python benchmarks/loaders.py --ocr`` runs it. 60 paragraphs of XQuAD-en are drawn with three DejaVu fonts that come
with matplotlib, at 10 points: clean at 150, 200 and 300 dpi, and at 200 dpi with noise, turned by 2 degrees, and in two
columns. The error rate is the edit distance of characters, white space aside, over the length of the paragraph.

``--ocr-seconds 10`` takes the processor time for ten of the public PDF pages, drawn at 200 dpi, after one page that
loads the models; tesseract reads the same pictures with one thread and with its usual ones.

Pages: of the public PDFs, pages with at least 100 words are taken as they are (digital), drawn to a picture (scanned),
and drawn with a stamp as text over the picture (stamped); garbled ones have fonts that map letters to the private use
area. None but digital pages may be read without OCR.
"""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import xquad
from ragkit.documents import Loader, SourceFile, ocr, pdf
from ragkit.documents.base import LoadOptions, OcrNeededError, Source
from ragkit.records import Document

CONDITIONS = ("clean 150 dpi", "clean 200 dpi", "clean 300 dpi", "noise 200 dpi", "skew 200 dpi", "columns 200 dpi")
EACH = 10
FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
POINTS = 10
WIDTH = 6.5
"""Inches of a line."""
WORDS = 100


def run(folder: Path) -> None:
    """Print the error rates and the decisions."""
    documents, _ = xquad()
    texts = [each.text for each in documents if 300 <= len(each.text) <= 900]
    paragraphs = random.Random(7).sample(texts, EACH * len(CONDITIONS))
    tesseract = shutil.which("tesseract")
    print("| condition | ragkit CER | s per paragraph | tesseract CER | s per paragraph |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place, Loader() as loader:
        for number, condition in enumerate(CONDITIONS):
            mine, peer, seconds, peer_seconds = [], [], 0.0, 0.0
            for index, text in enumerate(paragraphs[number * EACH : (number + 1) * EACH]):
                path = Path(place) / f"{number}-{index}.png"
                drawn(text, condition, FONTS[index % len(FONTS)]).save(path)
                start = time.perf_counter()
                stat = path.stat()
                items = list(loader.load(SourceFile(path, str(path), stat.st_size, stat.st_mtime_ns)))
                seconds += time.perf_counter() - start
                mine.append(errors(text, "".join(item.text for item in items if isinstance(item, Document))))
                if tesseract:
                    start = time.perf_counter()
                    command = [tesseract, str(path), "-", "--psm", "1" if "columns" in condition else "3"]
                    found = subprocess.run(command, check=True, capture_output=True).stdout.decode()
                    peer_seconds += time.perf_counter() - start
                    peer.append(errors(text, found))
            row = [f"{sum(mine) / EACH:.4f}", f"{seconds / EACH:.1f}"]
            row += [f"{sum(peer) / EACH:.4f}", f"{peer_seconds / EACH:.1f}"] if peer else ["not installed", ""]
            print(f"| {condition} | {' | '.join(row)} |", flush=True)
    print("\n| pages | of | read by OCR |\n|---|---|---|")
    for kind, pages in page_sets(folder).items():
        print(f"| {kind} | {len(pages)} | {sum(map(needs_ocr, pages))} |", flush=True)


def run_seconds(folder: Path, count: int) -> None:
    """Print the processor time for a page, of all threads."""
    pages = page_pictures(folder, count + 1)
    ocr.read_picture(pages.pop())
    print("| reader | pages | median s per page | worst s | letters |\n|---|---|---|---|---|")
    readers = {"ragkit": _own_seconds}
    if shutil.which("tesseract"):
        readers |= {"tesseract, 1 thread": partial(_tesseract_seconds, threads="1"), "tesseract": _tesseract_seconds}
    for name, read in readers.items():
        found = [read(page) for page in pages]
        seconds = sorted(each for each, _ in found)
        letters = sum(each for _, each in found)
        row = [name, len(pages), f"{statistics.median(seconds):.1f}", f"{seconds[-1]:.1f}", f"{letters:,}"]
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def page_pictures(folder: Path, count: int) -> list[Any]:
    """Return pages with text of the public PDFs, one page of a file, as pictures."""
    import pypdfium2

    found: list[Any] = []
    for path in sorted(folder.rglob("*.pdf")):
        try:
            page = pypdfium2.PdfDocument(path)[0]
            if len(page.get_textpage().get_text_range().split()) >= WORDS:
                found.append(page.render(scale=ocr.DPI / 72).to_pil())
        except pypdfium2.PdfiumError:
            continue
        if len(found) == count:
            break
    return found


def _own_seconds(picture: Any) -> tuple[float, int]:
    start = time.process_time()
    lines, _ = ocr.read_picture(picture)
    return time.process_time() - start, sum(len("".join(line.text.split())) for line in lines)


def _tesseract_seconds(picture: Any, threads: str = "") -> tuple[float, int]:
    environment = {**os.environ, **({"OMP_THREAD_LIMIT": threads} if threads else {})}
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        picture.save(file, "PNG")
        file.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["tesseract", file.name, "-"]
        text = subprocess.run(command, check=True, capture_output=True, env=environment).stdout.decode()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, len("".join(text.split()))


def drawn(text: str, condition: str, font_name: str) -> Any:
    """Return a paragraph as a picture."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    dpi = int(condition.split()[1])
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / font_name), POINTS * dpi // 72)
    columns = 2 if condition.startswith("columns") else 1
    margin, gap = dpi // 2, dpi // 3
    width = (int(WIDTH * dpi) - (columns - 1) * gap) // columns
    lines: list[str] = [""]
    for word in text.split():
        if font.getlength(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    step = int(1.4 * POINTS * dpi / 72)
    rows = -(-len(lines) // columns)
    picture = Image.new("L", (int(WIDTH * dpi) + 2 * margin, rows * step + 2 * margin), 255)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        column, row = divmod(number, rows)
        pen.text((margin + column * (width + gap), margin + row * step), line, font=font, fill=0)
    if condition.startswith("noise"):
        noise = np.random.default_rng(7).normal(0, 40, (picture.height, picture.width))
        picture = Image.fromarray(np.clip(np.asarray(picture, float) + noise, 0, 255).astype("uint8"))
    if condition.startswith("skew"):
        picture = picture.rotate(2, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    return picture


def errors(wanted: str, found: str) -> float:
    """Return the edit distance of two texts without white space over the length of the first."""
    a, b = ("".join(text.split()) for text in (wanted, found))
    codes = np.array([ord(char) for char in b])
    places = np.arange(len(b) + 1)
    row = places.copy()
    for number, char in enumerate(a, 1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(char)))
        row = np.minimum.accumulate(np.concatenate(([number], kept)) - places) + places
    return float(row[-1]) / max(1, len(a))


def page_sets(folder: Path) -> dict[str, list[bytes]]:
    """Return PDFs of a page each: 50 scanned, 15 stamped, 15 garbled and 100 digital ones."""
    scanned: list[bytes] = []
    stamped: list[bytes] = []
    garbled: list[bytes] = []
    digital: list[bytes] = []
    for data in _digital_pages(folder):
        if len(digital) < 100:
            digital.append(data)
        if len(scanned) < 50:
            scanned.append(_scanned(data))
        elif len(stamped) < 15:
            stamped.append(_scanned(data, "Received 12 May 2026"))
        if len(garbled) < 15 and (changed := _garbled(data)):
            garbled.append(changed)
        if len(digital) == 100:
            break
    return {"scanned": scanned, "stamped": stamped, "garbled": garbled, "digital": digital}


def needs_ocr(data: bytes) -> bool:
    """Return whether the loader has a page read by OCR."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        Path(file.name).write_bytes(data)
        try:
            list(pdf.parse(Source(Path(file.name), file.name, "", LoadOptions())))
        except OcrNeededError:
            return True
    return False


def _digital_pages(folder: Path) -> Iterator[bytes]:
    """Yield pages with enough words of public PDFs, at most 40 of each file."""
    import pypdfium2

    for path in sorted(folder.rglob("*.pdf")):
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError:
            continue
        taken = 0
        for number in range(len(document)):
            if taken < 40 and len(document[number].get_textpage().get_text_range().split()) >= WORDS:
                taken += 1
                page = pypdfium2.PdfDocument.new()
                page.import_pages(document, [number])
                out = io.BytesIO()
                page.save(out)
                yield out.getvalue()


def _scanned(data: bytes, stamp: str = "") -> bytes:
    import pypdfium2
    from fpdf import FPDF

    picture = pypdfium2.PdfDocument(data)[0].render(scale=100 / 72).to_pil().convert("L")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=60)
    made = FPDF(unit="pt", format=(picture.width, picture.height))
    made.set_margin(0)
    made.set_auto_page_break(False)
    made.add_page()
    made.image(out, x=0, y=0, w=picture.width, h=picture.height)
    if stamp:
        made.set_font("Helvetica", size=12)
        made.text(30, 30, stamp)
    return bytes(made.output())


def _garbled(data: bytes) -> bytes:
    """Return a page whose fonts map each letter to the private use area, or nothing if it has no such fonts."""
    import pypdf
    from pypdf.generic import NameObject, StreamObject

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    resources = pypdf.generic.DictionaryObject(writer.pages[0].get("/Resources", {}).get_object())
    fonts = resources.get("/Font", pypdf.generic.DictionaryObject()).get_object()
    cmap = StreamObject()
    cmap.set_data(
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <21> <ff> <e021> endbfrange "
        b"endcmap CMapName currentdict /CMap defineresource pop end end"
    )
    simple = [font.get_object() for font in fonts.values() if font.get_object().get("/Subtype") != "/Type0"]
    if not simple or len(simple) < len(fonts):
        return b""
    for font in simple:
        font[NameObject("/ToUnicode")] = writer._add_object(cmap)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
