"""PDF: text in reading order, whole words, what is filled in, and pages whose text layer is not their text."""

import io
import sys

import pypdf
import pytest
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont
from pypdf.annotations import FreeText
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject

from ragkit.documents import Issue, Loader, LoadOptions, discover, load, ocr, pdf
from ragkit.documents.base import Source
from ragkit.documents.pdf_layout import Word, reading_order
from ragkit.records import Document

LEFT = ["The ferry leaves the harbour at ten past", "eight on weekdays. On Sundays the first"]
LEFT += ["crossing is later. Bicycles travel free of", "charge in the winter months only."]
RIGHT = ["Parking at the quay costs six euros for a", "day. Season tickets are sold at the kiosk"]
RIGHT += ["next to the lighthouse. The kiosk accepts", "cash and cards but takes no cheques."]


def new_pdf():
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    pdf.add_page()
    return pdf


def at(pdf, x, y, text):
    pdf.set_xy(x, y)
    pdf.cell(text=text)


def read(pdf, path):
    pdf.output(str(path))
    return loaded(path)


def loaded(path):
    items = load(path)
    (document,) = [item for item in items if isinstance(item, Document)]
    return document, [item for item in items if isinstance(item, Issue)]


@pytest.mark.parametrize("by_rows", [False, True])
def test_columns_are_read_one_after_the_other(tmp_path, by_rows):
    pdf = new_pdf()
    lines = [(15, n, text) for n, text in enumerate(LEFT)] + [(110, n, text) for n, text in enumerate(RIGHT)]
    for x, n, text in sorted(lines, key=lambda line: (line[1], line[0])) if by_rows else lines:
        at(pdf, x, 20 + 6 * n, text)
    document, issues = read(pdf, tmp_path / "columns.pdf")
    assert document.text.split() == " ".join(LEFT + RIGHT).split()
    assert not issues


@pytest.mark.parametrize("by_rows", [True, False])
def test_table_rows_stay_rows(tmp_path, by_rows):
    rows = [("Model", "Voltage", "Weight"), ("AX-100", "12 V", "4.2 kg"), ("AX-200", "24 V", "5.9 kg")]
    cells = [(x, y, text) for y, row in enumerate(rows) for x, text in enumerate(row)]
    pdf = new_pdf()
    for x, y, text in cells if by_rows else sorted(cells):
        at(pdf, 20 + 50 * x, 20 + 8 * y, text)
    document, _ = read(pdf, tmp_path / "table.pdf")
    assert document.text == "Model  Voltage  Weight\nAX-100  12 V  4.2 kg\nAX-200  24 V  5.9 kg"


def test_table_of_long_cells_written_by_rows_stays_a_table(tmp_path):
    rows = [("Employee checklist for the middle of the year", "Steps before the first review")]
    rows += [("Supervisor checklist", "Steps of a supervisor in the middle of the year")]
    rows += [("Guide to the forms of the office", "Entering a review")]
    rows += [("Framework with three levels", "What is expected, and how it is judged")]
    pdf = new_pdf()
    for y, row in enumerate(rows):
        for x, text in enumerate(row):
            at(pdf, 15 + 95 * x, 20 + 8 * y, text)
    document, _ = read(pdf, tmp_path / "long.pdf")
    assert document.text == "\n".join("  ".join(row) for row in rows)


def test_hyphens_at_line_ends_are_joined_and_real_ones_kept(tmp_path):
    pdf = new_pdf()
    lines = [
        "The emer-",
        "gency brake and the démé-",
        "nagement. Die Über-",
        "prüfung. Part QX-",
        "4471, state-of-the-",
    ]
    lines += ["art filters, follow-", "up tests, a light-", "weight and a light-weight frame, pre-", "and post-war."]
    for n, text in enumerate(lines):
        at(pdf, 20, 20 + 6 * n, text)
    document, _ = read(pdf, tmp_path / "hyphens.pdf")
    assert " ".join(document.text.split()) == (
        "The emergency brake and the déménagement. Die Überprüfung. Part QX-4471, state-of-the-art filters, "
        "follow-up tests, a light-weight and a light-weight frame, pre- and post-war."
    )


def test_words_broken_over_two_pages_are_joined_and_real_hyphens_kept(tmp_path):
    pdf = new_pdf()
    for number, text in enumerate(
        ["The ferry carries passen-", "gers and runs on a twenty-", "Two hour plan, pre-", "and post-war."]
    ):
        if number:
            pdf.add_page()
        at(pdf, 15, 40 + number, text)
    document, issues = read(pdf, tmp_path / "pages.pdf")
    assert document.text == "The ferry carries passengers and runs on a twenty-Two hour plan, pre-\nand post-war."
    pages = [document.text[page.start : page.end] for page in document.pages]
    assert pages == ["The ferry carries passen", "gers and runs on a twenty-", "Two hour plan, pre-", "and post-war."]
    assert not issues


def test_running_heads_are_left_out_and_known(tmp_path):
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    pdf.set_auto_page_break(False)
    bodies = ["Every kiln is inspected by the person who", "runs it. The log is kept.", "Spare parts are in room 4."]
    for number, body in enumerate(bodies, 1):
        pdf.add_page()
        at(pdf, 20, 10, "Plant manual, edition 4")
        at(pdf, 20, 60, f"Section {number} explains step {number} of the firing plan.")
        at(pdf, 20, 80 if number == 1 else 40, body)
        at(pdf, 90, 280, f"Page {number} of 3")
    document, issues = read(pdf, tmp_path / "manual.pdf")
    assert "by the person who\nruns it" in document.text
    assert "Plant manual" not in document.text
    assert "Page 2" not in document.text
    assert "Section 3 explains step 3" in document.text
    assert document.metadata["running_heads"] == "Plant manual, edition 4\nPage 1 of 3"
    assert not issues


def test_rotated_page_is_read_upright(tmp_path):
    pdf = new_pdf()
    with pdf.rotation(90, 60, 100):
        at(pdf, 30, 90, "Pump 5 delivers 220 litres")
        at(pdf, 30, 98, "Pump 6 delivers 310 litres")
    pdf.output(str(tmp_path / "sideways.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "sideways.pdf")
    writer.pages[0].rotate(90)
    writer.write(tmp_path / "turned.pdf")
    for name in ("sideways.pdf", "turned.pdf"):
        document, _ = loaded(tmp_path / name)
        assert document.text == "Pump 5 delivers 220 litres\nPump 6 delivers 310 litres"


def field(writer, kind, rect, **values):
    entries = {"/Type": NameObject("/Annot"), "/Subtype": NameObject("/Widget"), "/FT": NameObject(kind), **values}
    entries["/Rect"] = ArrayObject(NumberObject(side) for side in rect)
    return writer._add_object(DictionaryObject({NameObject(name): value for name, value in entries.items()}))


def test_lines_of_turned_text_are_apart(tmp_path):
    pdf = new_pdf()
    at(pdf, 15, 20, "The table has a turned head.")
    with pdf.rotation(90, 60, 100):
        for number, word in enumerate(("It", "is", "in", "this")):
            at(pdf, 60, 100 + 6 * number, word)
    document, issues = read(pdf, tmp_path / "turned.pdf")
    assert document.text.split() == ["The", "table", "has", "a", "turned", "head.", "It", "is", "in", "this"]
    assert not issues


def test_form_values_stand_beside_their_labels_and_notes_are_read(tmp_path):
    pdf = new_pdf()
    at(pdf, 20, 20, "Name of club:")
    at(pdf, 20, 40, "Newsletter:")
    pdf.output(str(tmp_path / "empty.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "empty.pdf")
    club = field(writer, "/Tx", (180, 770, 400, 790), **{"/V": TextStringObject("Tidewater")})
    news = field(writer, "/Btn", (180, 713, 200, 733), **{"/AS": NameObject("/Yes")})
    writer.pages[0][NameObject("/Annots")] = ArrayObject([club, news])
    writer.add_annotation(0, FreeText(text="Gate 7 is closed.", rect=(60, 500, 300, 520)))
    writer.write(tmp_path / "form.pdf")
    document, _ = loaded(tmp_path / "form.pdf")
    assert document.text == "Name of club:  Tidewater\nNewsletter:  [x]\n\nGate 7 is closed."


def test_attachments_labels_and_junk_titles(tmp_path):
    pdf = new_pdf()
    at(pdf, 20, 20, "See the attached list.")
    pdf.add_page()
    at(pdf, 20, 20, "Chapter one.")
    pdf.set_title("Microsoft Word - list_v2.doc")
    pdf.output(str(tmp_path / "plain.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "plain.pdf")
    writer.add_attachment("prices.txt", b"Pump 5: 40 EUR")
    writer.set_page_label(0, 0, "/r", start=4)
    writer.write(tmp_path / "list.pdf")
    document, issues = loaded(tmp_path / "list.pdf")
    assert [page.label for page in document.pages] == ["page iv", "page 1"]
    assert document.metadata["attachments"] == "prices.txt"
    assert [issue.kind for issue in issues] == ["text_lost"]
    assert "prices.txt" in issues[0].detail
    assert document.title == "list"


def test_outline_in_any_order_and_case_gives_headings(tmp_path):
    pdf = new_pdf()
    for title in ("MOUNTING THE RAIL", "WIRING"):
        at(pdf, 20, 20, title)
        at(pdf, 20, 40, "It is held by eight bolts.")
        pdf.add_page()
    pdf.output(str(tmp_path / "plain.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "plain.pdf")
    writer.add_outline_item(title="Wiring", page_number=1)
    writer.add_outline_item(title="Mounting the rail", page_number=0)
    writer.write(tmp_path / "outline.pdf")
    document, _ = loaded(tmp_path / "outline.pdf")
    assert [heading.title for heading in document.headings] == ["Mounting the rail", "Wiring"]


def test_owner_password_alone_keeps_no_reader_out(tmp_path):
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="")
    pdf.set_font("Helvetica", size=11)
    pdf.add_page()
    at(pdf, 20, 20, "The vault code is 4711.")
    document, _ = read(pdf, tmp_path / "owner.pdf")
    assert document.text == "The vault code is 4711."


def picture(*lines):
    # OCR enlarges a picture until its shorter side is long enough: a narrow strip is the slowest to read.
    image = Image.new("RGB", (1200, max(736, 100 + 60 * len(lines))), "white")
    for n, line in enumerate(lines):
        ImageDraw.Draw(image).text((60, 50 + 60 * n), line, "black", font=ImageFont.load_default(36))
    return image


def scan(path, stamps):
    pdf = FPDF()
    pdf.set_font("Helvetica", size=9)
    pdf.set_auto_page_break(False)
    for number, stamp in enumerate(stamps, 1):
        pdf.add_page()
        data = io.BytesIO()
        picture(f"The levy rises to {number}0 euros next year.").save(data, "PNG")
        pdf.image(data, x=0, y=0, w=210)
        if stamp:
            at(pdf, 90, 285, stamp)
    pdf.output(str(path))


def garbled(path):
    """Write a page whose letters are mapped to the private use area."""
    pdf = new_pdf()
    at(pdf, 20, 20, "The warranty covers corrosion for twelve years.")
    pdf.output(str(path))
    writer = pypdf.PdfWriter(clone_from=path)
    cmap = pypdf.generic.StreamObject()
    cmap.set_data(
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <21> <ff> <e021> endbfrange "
        b"endcmap CMapName currentdict /CMap defineresource pop end end"
    )
    for font in writer.pages[0]["/Resources"]["/Font"].values():
        font.get_object()[NameObject("/ToUnicode")] = writer._add_object(cmap)
    writer.write(path)


def test_pages_without_readable_text_are_named_without_ocr(tmp_path, monkeypatch):
    scan(tmp_path / "scan.pdf", ["Scanned 1/3", "Scanned 2/3", "Scanned 3/3"])
    garbled(tmp_path / "garbled.pdf")
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    for name, pages in (("scan.pdf", 3), ("garbled.pdf", 1)):
        found = [item for item in pdf.parse(Source(tmp_path / name, name, "", LoadOptions())) if item is not None]
        assert [item.kind for item in found] == ["page_without_text"] * pages
        assert "pip install 'ragkit[ocr]'" in found[0].hint


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
def test_scanned_and_garbled_pages_are_read_by_ocr(tmp_path):
    scan(tmp_path / "scan.pdf", [""])
    document, issues = loaded(tmp_path / "scan.pdf")
    assert document.text == "The levy rises to 10 euros next year."
    assert document.metadata["ocr_pages"] == 1
    assert document.metadata["ocr_confidence"] > 0.9
    assert not issues
    garbled(tmp_path / "garbled.pdf")
    document, _ = loaded(tmp_path / "garbled.pdf")
    assert document.text == "The warranty covers corrosion for twelve years."


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
def test_pictures_are_read_and_each_frame_is_a_page(tmp_path):
    frames = [picture("Deed of the mill, 1911"), picture("List of parcels", "and of meadows")]
    frames[0].save(tmp_path / "deeds.tiff", save_all=True, append_images=frames[1:])
    document, _ = loaded(tmp_path / "deeds.tiff")
    pages = [document.text[page.start : page.end] for page in document.pages]
    assert pages == ["Deed of the mill, 1911", "List of parcels\nand of meadows"]


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
def test_text_on_a_transparent_picture_is_read(tmp_path):
    drawn = picture("Deed of the mill, 1911")
    clear = Image.new("RGBA", drawn.size, (0, 0, 0, 0))
    clear.paste("black", mask=drawn.convert("L").point(lambda value: 255 - value))
    clear.save(tmp_path / "clear.png")
    document, _ = loaded(tmp_path / "clear.png")
    assert document.text == "Deed of the mill, 1911"


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
def test_files_after_a_scan_are_read_too(tmp_path):
    scan(tmp_path / "a.txt", [""])
    (tmp_path / "b.txt").write_text("Plain text after a scan.")
    scan(tmp_path / "c.pdf", [""])
    with Loader() as loader:
        read = {file.path.name: list(loader.load(file)) for file in discover([tmp_path])}
    levy = "The levy rises to 10 euros next year."
    texts = {name: [item.text for item in items if isinstance(item, Document)] for name, items in read.items()}
    assert texts == {"a.txt": [levy], "b.txt": ["Plain text after a scan."], "c.pdf": [levy]}
    assert [item.kind for item in read["a.txt"] if isinstance(item, Issue)] == ["mislabelled"]


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
@pytest.mark.parametrize("turn", [0, 90, 180])
def test_page_is_read_upright_however_it_lies(tmp_path, turn):
    # rapidocr's classifier takes the second of these lines for upside down.
    lines = [
        "are known as primary plastids in this context: almost",
        "the same thing as chloroplast. All primary ones, such",
        "as the rhodophyte, belong to one of three lineages.",
    ]
    lying = picture(*lines).rotate(turn, expand=True)
    lying.save(tmp_path / "scan.png")
    document, _ = loaded(tmp_path / "scan.png")
    assert document.text.split("\n") == lines
    # The boxes of a line lie on it: on the page as it lies, and so on the one that is turned upright again.
    at = document.text.index("the same thing as chloroplast.")
    boxes = document.boxes.within(at, at + len("the same thing as chloroplast."))
    assert [document.text[box.start : box.end] for box in boxes] == ["the", "same", "thing", "as", "chloroplast."]
    marks = Image.new("1", lying.size)
    for box in boxes:
        sides = (box.left * lying.width, box.top * lying.height, box.right * lying.width, box.bottom * lying.height)
        marks.paste(1, tuple(map(round, sides)))
    font = ImageFont.load_default(36)
    left, top, right, bottom = marks.rotate(-turn, expand=True).getbbox()
    width = font.getlength("the same thing as chloroplast.")
    assert (left, right) == (pytest.approx(60, abs=15), pytest.approx(60 + width, abs=15))
    assert (top, bottom) == (pytest.approx(115, abs=12), pytest.approx(150, abs=12))


def test_columns_of_a_scan_with_a_narrow_gutter_are_read_one_after_the_other():
    # Lines as OCR finds them, row by row: edges differ by some points, and the gutter is narrower than a line is high.
    left = [Word(line, 40 + n % 3, 700 - 14 * n, 232 + n % 2, 711 - 14 * n) for n, line in enumerate(LEFT)]
    right = [Word(line, 240 + n % 2, 701 - 14 * n, 430, 712 - 14 * n) for n, line in enumerate(RIGHT)]
    rows = [word for pair in zip(left, right, strict=True) for word in pair]
    assert [line.text for line in reading_order(rows, gap=0.0)] == LEFT + RIGHT
