"""The panel beside the thread: finding and zooming in a source, and files with many documents."""

import re
import shutil

import pypdf
import pytest
from fpdf import FPDF
from PIL import ExifTags, Image, ImageDraw, ImageFont
from playwright.sync_api import expect

from ragkit import Index
from ragkit.cli.targets import own_index
from ragkit.documents import ocr
from ragkit.settings import Settings
from tests.conftest import SAMPLES
from tests.serving.browser.conftest import PATIENCE

MANUAL = "What does error E27 mean?"
RED = """() => {
  const image = document.querySelector(".sheet img"), mark = document.querySelector(".quote-mark");
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(image, 0, 0);
  const scale = image.naturalWidth / image.clientWidth;
  const [left, top, width, height] = ["Left", "Top", "Width", "Height"].map((side) => mark[`offset${side}`] * scale);
  const counts = { red: [0, 0], black: [0, 0] };
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 1] > 128) continue;
    const x = (at / 4) % canvas.width, y = Math.floor(at / 4 / canvas.width);
    const within = x >= left && x < left + width && y >= top && y < top + height;
    counts[data[at] > 180 ? "red" : "black"][within ? 0 : 1] += 1;
  }
  return [counts.red[0] / (counts.red[0] + counts.red[1]), counts.black[0] / (counts.black[0] + counts.black[1])];
}"""
"""Shares of the red and of the black letters that are marked."""


def test_source_is_searched_and_zoomed(visit):
    seen = visit()
    answer = seen.answer(MANUAL)
    answer.locator(".sources button", has_text="page 4").first.click()
    panel, sheet = seen.panel, seen.panel.locator(".sheet")
    expect(panel.locator(".quote-mark").first).to_be_in_viewport()
    width = sheet.bounding_box()["width"]
    for _ in range(2):
        panel.get_by_role("button", name="Zoom in").click()
    expect(panel.get_by_text("150 %")).to_be_visible()
    assert sheet.bounding_box()["width"] > 1.4 * width
    expect(panel.locator(".quote-mark").first).to_be_in_viewport()
    for _ in range(2):
        panel.get_by_role("button", name="Zoom out").click()
    field = panel.get_by_role("searchbox", name="Find in document")
    field.fill("DOME")
    field.press("Enter")
    counted = panel.get_by_text(re.compile(r"^1 of \d+$"))
    expect(counted).to_be_visible()
    expect(field).to_be_focused()
    total = int(counted.inner_text().rpartition(" ")[2])
    assert total > 3
    pages = set()
    for number in range(1, total + 1):
        expect(panel.get_by_text(f"{number} of {total}", exact=True)).to_be_visible()
        expect(panel.locator(".quote-mark")).to_have_count(1)
        expect(panel.locator(".quote-mark")).to_be_in_viewport()
        pages.add(panel.locator(".stick").get_by_text(re.compile(r"^Page \d of 5")).inner_text())
        field.press("Enter")
    assert len(pages) > 1
    # The same in the text, and back to the quote.
    panel.get_by_role("button", name="Text", exact=True).click()
    field.press("Shift+Enter")
    expect(panel.locator(".fulltext mark")).to_have_text(re.compile("^dome$", re.IGNORECASE))
    panel.get_by_role("button", name="Go to quote").click()
    expect(panel.locator(".fulltext mark").first).to_contain_text("Error E27")
    field.fill("no such words")
    field.press("Enter")
    expect(panel.get_by_text("No matches")).to_be_visible()


def test_files_stand_for_their_rows_under_the_name_of_their_folder(chromium, serve, tmp_path):
    docs, settings = tmp_path / "night shift", Settings(indexes=tmp_path / "indexes")
    docs.mkdir()
    shutil.copy(SAMPLES / "faq.html", docs)
    rows = "".join(f"Comet {number},{number} June\n" for number in range(1, 13))
    (docs / "comets.csv").write_text("comet,comes\n" + rows)
    with Index.create(own_index(docs, settings)) as index:
        assert index.add(docs).complete
    with serve(indexes=settings.indexes, models=("none",)) as url:
        page = chromium.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(url)
        expect(page.get_by_role("heading", name="Ask night shift")).to_be_visible()
        expect(page.get_by_text(re.compile(r"^2 files, \d+ passages\."))).to_be_visible()
        page.get_by_role("button", name="Documents", exact=True).click()
        panel = page.get_by_role("complementary")
        expect(panel.get_by_role("heading", level=2)).to_have_text("Documents of night shift")
        files = panel.get_by_role("list", name="Documents", exact=True).locator("> li")
        expect(files).to_have_count(2)
        table = files.filter(has_text="comets.csv")
        expect(table).to_contain_text("12 documents")
        table.get_by_role("button", name="comets.csv").first.click()
        listed = panel.get_by_role("list", name="Documents of comets.csv").get_by_role("listitem")
        expect(listed).to_have_count(12)
        # In the table's order, not in that of the alphabet.
        expect(listed.nth(1)).to_contain_text("Comet 2")
        listed.nth(9).get_by_role("button").click()
        expect(panel.locator(".fulltext")).to_contain_text("10 June")
        page.context.close()


@pytest.mark.skipif(not ocr.available(), reason="pip install 'ragkit[ocr]'")
def test_quote_is_marked_on_a_turned_scan_and_on_a_photo(chromium, serve, tmp_path):
    docs, settings = tmp_path / "pier", Settings(indexes=tmp_path / "indexes")
    docs.mkdir()
    lines = ("The harbour has nine berths.", "The ferry office opens at half past six.", "Dogs travel free of charge.")
    drawn = Image.new("RGB", (740, 740), "white")
    for n, line in enumerate(lines):
        place, colour = (60, 40 + 60 * n), "red" if n == 1 else "black"
        ImageDraw.Draw(drawn).text(place, line, colour, font=ImageFont.load_default(36))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    drawn.rotate(90, expand=True).save(docs / "photo.jpg", exif=turned, quality=95)
    pdf = FPDF(unit="pt", format=(266, 266))
    pdf.add_page()
    pdf.image(drawn, 0, 0, 266, 266)
    pdf.output(str(tmp_path / "upright.pdf"))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "upright.pdf")
    writer.pages[0].rotate(90)
    writer.write(docs / "scan.pdf")
    with Index.create(own_index(docs, settings)) as index:
        assert index.add(docs).complete
        index.compact()
    with serve(indexes=settings.indexes, models=("none",)) as url:
        page = chromium.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(url)
        panel = page.get_by_role("complementary")
        for name in ("photo.jpg", "scan.pdf"):
            page.get_by_role("button", name="Documents", exact=True).click()
            panel.get_by_role("list", name="Documents", exact=True).get_by_role("button", name=name).first.click()
            field = panel.get_by_role("searchbox", name="Find in document")
            field.fill("ferry office opens at half past six.")
            field.press("Enter")
            expect(panel.locator(".quote-mark")).to_have_count(1)
            page.wait_for_function("() => document.querySelector('.sheet img').complete")
            inside, outside = page.evaluate(RED)
            assert inside > 0.85  # "The" is red too, and is not part of it.
            assert outside < 0.02
        page.context.close()


def test_two_answers_are_in_view_while_the_vote_is_asked(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "observatory", "model": "hostile", "mode": "quotes"}')
    page = seen.page
    page.set_viewport_size({"width": 1280, "height": 420})
    seen.answer(MANUAL)
    page.get_by_role("button", name="Compare answers").click()
    seen.ask("When does the last bus back leave?")
    vote = page.get_by_role("group", name="Which answer is better?")
    expect(vote).to_be_in_viewport(ratio=0.9)
    for heading in page.locator(".pair > section > h3").all():
        expect(heading).to_be_in_viewport(ratio=0.9)
    page.reload()
    expect(vote).to_be_in_viewport(ratio=0.9)
    expect(page.locator(".pair > section > h3").first).to_be_in_viewport(ratio=0.9)
    page.get_by_role("button", name="Left is better").click()
    expect(page.get_by_text("Saved, thank you.")).to_be_visible()
    times = page.locator(".rail time, .answer time")
    assert times.count() >= 2
    assert all(re.search(r"\d:\d\d", each) for each in times.all_inner_texts())
