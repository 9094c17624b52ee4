"""Pages of PDF: pictures, and quotes marked where they stand; what is drawn in red is the quote."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pypdf
import pytest
from fpdf import FPDF
from PIL import Image

from ragkit.documents import LoadOptions, file_sha256, load
from ragkit.errors import DocumentError
from ragkit.records import Document
from ragkit.serving.pdf_pages import PageLimits, PdfPages
from ragkit.serving.quote_boxes import find_quote, lines

MANUAL = Path(__file__).parents[2] / "docs" / "samples" / "telescope-manual.pdf"
FILLER = "The harbour has nine berths and a crane that lifts forty tonnes on calm days. "
QUOTE = "The ferry office opens at half past six and sells tickets until the last boat has left the western pier."


@pytest.fixture(scope="module")
def pages():
    drawn = PdfPages()
    yield drawn
    drawn.close()


def new_pdf():
    pdf = FPDF(format=(148, 210))
    pdf.set_font("helvetica", size=12)
    pdf.add_page()
    return pdf


def write(pdf, text, red=False, width=0):
    pdf.set_text_color(255 if red else 0, 0, 0)
    pdf.multi_cell(width, 9, text, align="L", new_x="LEFT", new_y="NEXT")


def read(pdf, path):
    if pdf is not None:
        pdf.output(str(path))
    return next(item for item in load(path) if isinstance(item, Document))


def span(document, quote):
    match = re.search(r"\s+".join(map(re.escape, quote.split())), document.text)
    assert match, document.text
    return match.span()


def marked(pages, path, document, number, quote):
    """Return how many of a page's red pixels lie in the quote's boxes, and how many others do, as shares."""
    start, end = span(document, quote)
    picture = Image.open(io.BytesIO(pages.draw(path, document, number, 800))).convert("RGB")
    place = pages.place(path, document, number, start, end)
    assert picture.width / picture.height == pytest.approx(place.width / place.height, rel=0.01)
    inside = Image.new("1", picture.size)
    for x0, y0, x1, y1 in place.rects:
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        box = [x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height]
        inside.paste(1, [round(value) for value in box])
    red = other = red_in = other_in = 0
    for (r, g, b), within in zip(picture.get_flattened_data(), inside.get_flattened_data(), strict=True):
        if max(g, b) < 150:
            is_red = r > 200
            red, other = red + is_red, other + (not is_red)
            red_in, other_in = red_in + (is_red and bool(within)), other_in + (not is_red and bool(within))
    assert red > 100
    assert other > 100
    return red_in / red, other_in / other, place


def check(pages, path, document, quote=QUOTE, number=1):
    red, other, place = marked(pages, path, document, number, quote)
    assert red > 0.99
    assert other < 0.01
    return place


def test_quote_of_the_sample_manual_is_marked_line_by_line(pages):
    document = read(None, MANUAL)
    start, end = span(document, "Two people must be in the dome whenever the telescope moves.")
    place = pages.place(MANUAL, document, 1, start, end)
    assert len(place.rects) == 2
    assert place.rects[0][0] == pytest.approx(0.128, abs=0.01)
    assert place.rects[0][2] == pytest.approx(0.872, abs=0.01)
    assert place.rects[1][1] > place.rects[0][1]
    assert Image.open(io.BytesIO(pages.draw(MANUAL, document, 1, 500))).width == 500


def test_quote_within_a_paragraph_and_said_before(pages, tmp_path):
    pdf = new_pdf()
    write(pdf, FILLER + QUOTE)
    write(pdf, "And once more, as it matters.")
    write(pdf, QUOTE, red=True)
    write(pdf, FILLER)
    document = read(pdf, tmp_path / "twice.pdf")
    second = document.text.rindex("The ferry")
    # The second place: the first is found too, and must not be what is marked.
    place = pages.place(tmp_path / "twice.pdf", document, 1, second, second + len("The ferry office opens"))
    above = pages.place(tmp_path / "twice.pdf", document, 1, *span(document, "The ferry office opens"))
    assert place.rects[0][1] > above.rects[-1][3]


def test_quote_in_two_columns(pages, tmp_path):
    pdf = new_pdf()
    pdf.set_xy(10, 20)
    write(pdf, FILLER * 3, width=58)
    pdf.set_xy(80, 20)
    write(pdf, QUOTE, red=True, width=58)
    pdf.set_x(80)
    write(pdf, FILLER, width=58)
    document = read(pdf, tmp_path / "columns.pdf")
    place = check(pages, tmp_path / "columns.pdf", document)
    assert len(place.rects) >= 4
    assert all(rect[0] > 0.5 for rect in place.rects)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_quote_on_a_turned_page(pages, tmp_path, angle):
    pdf = new_pdf()
    write(pdf, FILLER)
    write(pdf, QUOTE, red=True)
    pdf.output(str(tmp_path / "upright.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "upright.pdf")
    writer.pages[0].rotate(angle)
    writer.pages[0].cropbox.lower_left = (10, 30)
    writer.write(tmp_path / "turned.pdf")
    document = read(None, tmp_path / "turned.pdf")
    check(pages, tmp_path / "turned.pdf", document)


def test_quote_with_ligatures_accents_and_hyphens(pages, tmp_path):
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    pdf = new_pdf()
    pdf.add_font("dejavu", fname=str(font))
    pdf.set_font("dejavu", size=11)
    write(pdf, FILLER)
    write(pdf, "The ﬁrst oﬃcer’s naïve ﬂag signal was a well-\nknown mis-\nunderstanding — “Überfahrt”.", red=True)
    write(pdf, FILLER)
    document = read(pdf, tmp_path / "ligatures.pdf")
    assert "misunderstanding" in document.text
    start = document.text.index("The first")
    quote = document.text[start : document.text.index("Überfahrt”.") + len("Überfahrt”.")]
    assert len(check(pages, tmp_path / "ligatures.pdf", document, quote).rects) >= 3


def test_quote_over_two_pages_is_marked_on_both(pages, tmp_path):
    first, second = QUOTE[:50], QUOTE[50:]
    pdf = new_pdf()
    write(pdf, FILLER)
    write(pdf, first, red=True)
    pdf.add_page()
    write(pdf, second, red=True)
    write(pdf, FILLER)
    path = tmp_path / "over.pdf"
    document = read(pdf, path)
    for number in (1, 2):
        check(pages, path, document, number=number)
    start, end = span(document, first)
    assert pages.place(path, document, 2, start, end).rects == ()


def test_words_in_another_order_are_found_part_by_part():
    shown = "left column one and the start. right column: the rest of the words."
    runs = find_quote("the rest of the words. left column one", 0, 38, shown)
    assert [shown[first : last + 1] for first, last in runs] == ["the rest of the words.", "left column one"]


def test_quote_that_is_not_there_is_nowhere():
    assert find_quote("nothing of this is on it", 0, 24, "an entirely different page") == []
    assert find_quote("  ", 0, 2, "page") == []


def test_text_that_repeats_itself_comes_to_an_end():
    assert find_quote("ab" * 20_000, 0, 40_000, "ba" * 50_000 + "c") != []
    assert find_quote("abc" * 3_000, 0, 9_000, "acb" * 60_000) == []


def test_boxes_are_merged_by_line():
    row = [(0.1, 0.1, 0.2, 0.15), (0.2, 0.11, 0.3, 0.15), (0.1, 0.2, 0.2, 0.25)]
    assert lines(row) == [(0.1, 0.1, 0.3, 0.15), (0.1, 0.2, 0.2, 0.25)]


def test_file_that_is_gone_changed_or_locked_says_so(pages, tmp_path):
    pdf = new_pdf()
    write(pdf, QUOTE)
    path = tmp_path / "a.pdf"
    document = read(pdf, path)
    with pytest.raises(DocumentError, match="does not exist"):
        pages.draw(path, document, 2, 400)
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(DocumentError, match="has changed") as changed:
        pages.draw(path, document, 1, 400)
    assert "text" in changed.value.hint
    path.unlink()
    with pytest.raises(DocumentError, match="no longer exists"):
        pages.place(path, document, 1, 0, 10)


def test_encrypted_file_is_told_without_its_path(pages, tmp_path):
    pdf = new_pdf()
    write(pdf, QUOTE)
    pdf.set_encryption("owner", user_password="user")
    path = tmp_path / "locked.pdf"
    pdf.output(str(path))
    document = next(item for item in load(path, LoadOptions(passwords=("user",))) if isinstance(item, Document))
    with pytest.raises(DocumentError, match="damaged or encrypted") as error:
        pages.draw(path, document, 1, 400)
    assert str(tmp_path) not in str(error.value)


def test_drawing_is_stopped_and_the_next_page_drawn(tmp_path, caplog):
    # A page of endless work: forms that draw the next one a thousand times.
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(400, 400)
    inner = None
    for _ in range(6):
        form = pypdf.generic.StreamObject()
        form.set_data(b"0 0 300 300 re f " * 1000 if inner is None else b"/X Do " * 100)
        form.update(
            {
                pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/XObject"),
                pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Form"),
                pypdf.generic.NameObject("/BBox"): pypdf.generic.ArrayObject(
                    pypdf.generic.NumberObject(value) for value in (0, 0, 400, 400)
                ),
            }
        )
        form[pypdf.generic.NameObject("/Resources")] = resources(inner)
        inner = writer._add_object(form)
    page[pypdf.generic.NameObject("/Resources")] = resources(inner)
    content = pypdf.generic.StreamObject()
    content.set_data(b"/X Do")
    page[pypdf.generic.NameObject("/Contents")] = writer._add_object(content)
    writer.add_blank_page(400, 400)
    path = tmp_path / "endless.pdf"
    writer.write(path)
    manual = read(None, MANUAL)
    endless = replace(manual, sha256=file_sha256(path))
    now = 0.0
    drawn = PdfPages(PageLimits(seconds=1.0), clock=lambda: now)
    try:
        with pytest.raises(DocumentError, match="time or memory limit"):
            drawn.draw(path, endless, 1, 400)
        assert drawn._child is None
        assert drawn.draw(MANUAL, manual, 1, 400).startswith(b"\x89PNG")
        with pytest.raises(DocumentError, match="time or memory limit"):
            drawn.draw(path, endless, 1, 400)
        assert drawn._child is not None, "what failed just now was tried again"
        assert drawn.draw(path, endless, 2, 400).startswith(b"\x89PNG"), "the other pages went with it"
        now = drawn.limits.rest + 1
        with pytest.raises(DocumentError, match="time or memory limit"):
            drawn.draw(path, endless, 1, 400)
        assert drawn._child is None, "it was not tried again"
        assert "page 1 of" in caplog.text
    finally:
        drawn.close()


def resources(inner):
    found = pypdf.generic.DictionaryObject()
    if inner is not None:
        forms = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/X"): inner})
        found[pypdf.generic.NameObject("/XObject")] = forms
    return found


def test_pictures_are_kept_within_their_bytes():
    manual = read(None, MANUAL)
    drawn = PdfPages(PageLimits(kept_bytes=150_000))
    try:
        for page in manual.pages[:3]:
            drawn.draw(MANUAL, manual, page.number, 900)
        assert 1 <= len(drawn._kept) < 3
        assert drawn.draw(MANUAL, manual, 3, 900) is drawn.draw(MANUAL, manual, 3, 900)
    finally:
        drawn.close()
