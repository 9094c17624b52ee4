"""The panel beside the thread: finding and zooming in a source, and files with many documents."""

import re
import shutil

from playwright.sync_api import expect

from ragkit import Index
from ragkit.cli.targets import own_index
from ragkit.settings import Settings
from tests.conftest import SAMPLES
from tests.serving.browser.conftest import PATIENCE

MANUAL = "What does error E27 mean?"


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
