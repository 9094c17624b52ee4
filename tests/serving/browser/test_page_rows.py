"""Review of generated rows on the page: filters, keys, edits, undo, and what a screen reader finds."""

import shutil

import pytest
from playwright.sync_api import expect

from ragkit.datagen import Ledger, current_reviews, write_rows
from tests.serving.browser.conftest import PATIENCE
from tests.serving.browser.test_page_access import AXE, LOOKS
from tests.serving.test_reviewing import sample_rows
from tests.serving.test_row_generation import Writer


@pytest.fixture
def reviewing(chromium, serve, sample_index, tmp_path):
    """Open the page of a server with two rows; give the page, the ids of the rows, and the file of decisions."""
    shutil.copytree(sample_index, tmp_path / "indexes" / "samples")
    good, bad = sample_rows(tmp_path / "indexes" / "samples")
    write_rows(tmp_path / "rows.jsonl", [good])
    write_rows(tmp_path / "rows.rejected.jsonl", [bad])
    with serve(indexes=tmp_path / "indexes", rows={"": tmp_path / "rows.jsonl"}, models=("none",)) as url:
        pages = []

        def open_page(**options):
            page = chromium.new_page(base_url=url, reduced_motion="reduce", **options)
            page.set_default_timeout(1000 * PATIENCE)
            pages.append(page)
            page.goto("/")
            if options.get("is_mobile"):
                page.get_by_role("button", name="Conversations", exact=True).click()
            page.get_by_role("button", name="Rows", exact=True).click()
            return page

        yield open_page, (good.id, bad.id), tmp_path / "rows.ledger.sqlite"
        for page in pages:
            page.close()


def serious(page):
    """Return what axe-core finds serious on the page, with the first element."""
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


def test_rows_are_reviewed_with_keys(reviewing):
    open_page, (good, bad), ledger = reviewing
    page = open_page(viewport={"width": 1280, "height": 800})
    panel = page.get_by_role("complementary")
    expect(panel.get_by_role("listitem")).to_have_count(2)
    panel.get_by_label("Rejected by").select_option("form")
    expect(panel.get_by_role("listitem")).to_have_count(1)
    panel.get_by_label("Rejected by").select_option("")
    expect(panel.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("heading", name="Rows", exact=True).click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(panel.get_by_text("1 of 2")).to_be_visible()
    expect(panel.locator("mark")).to_have_text("23:10")
    expect(panel.locator("mark")).to_be_in_viewport()
    page.keyboard.press("n")
    page.get_by_label("Reason").fill("Too easy.")
    page.keyboard.press("Enter")
    # The next row follows.
    expect(panel.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("e")
    panel.get_by_label("Answer", exact=True).fill("23:59")
    panel.get_by_role("button", name="Save and keep").click()
    expect(page.get_by_role("dialog")).to_contain_text("is not in the passage")
    page.keyboard.press("Escape")
    panel.get_by_label("Answer", exact=True).fill("23:10")
    panel.get_by_label("Question", exact=True).fill("When does the last bus leave?")
    panel.get_by_role("button", name="Save and keep").click()
    expect(panel.get_by_text("Edited and kept by you")).to_be_visible()
    page.keyboard.press("k")
    expect(panel.get_by_text("Rejected by you")).to_be_visible()
    expect(panel.get_by_text("Too easy.")).to_be_visible()
    page.keyboard.press("u")
    expect(panel.get_by_text("Rejected by you")).to_have_count(0)
    page.keyboard.press("y")
    expect(panel.get_by_text("2 of 2")).to_be_visible()
    with Ledger(ledger) as opened:
        reviews = current_reviews(opened)
        assert len(opened.reviews()) == 4
    assert reviews[good].verdict == "keep"
    assert reviews[bad].edited.question == "When does the last bus leave?"
    panel.get_by_role("button", name="Back", exact=True).click()
    expect(panel.get_by_text("No rows match these filters.")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious_in_rows(reviewing, look):
    page = reviewing[0](bypass_csp=True, **LOOKS[look])
    panel = page.get_by_role("complementary")
    page.add_script_tag(content=AXE)
    expect(panel.get_by_role("listitem")).to_have_count(2)
    assert serious(page) == []
    panel.get_by_role("button", name="When does it leave?").click()
    expect(panel.locator("mark")).to_have_text("23:10")
    assert serious(page) == []
    panel.get_by_role("button", name="Edit", exact=True).click()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_rows_are_generated_on_the_page_of_a_phone(chromium, serve, sample_index, tmp_path):
    """Start, stop and continue a run, then review; axe-core checks each state."""
    shutil.copytree(sample_index, tmp_path / "samples")
    model = Writer(tmp_path / "samples", pause_at=6)
    with serve(indexes=tmp_path, models=(model,)) as url:
        page = chromium.new_page(base_url=url, reduced_motion="reduce", bypass_csp=True, **LOOKS["phone"])
        page.goto("/")
        page.add_script_tag(content=AXE)
        page.get_by_role("button", name="Conversations", exact=True).click()
        page.get_by_role("button", name="Rows", exact=True).click()
        panel = page.get_by_role("complementary")
        panel.get_by_label("Questions").fill("8")
        assert serious(page) == []
        panel.get_by_role("button", name="Generate", exact=True).click()
        assert model.paused.wait(PATIENCE)
        expect(panel.get_by_role("progressbar")).to_be_visible()
        assert serious(page) == []
        # The page goes on when the server is back.
        page.context.set_offline(True)
        expect(page.get_by_text("The server does not respond.")).to_be_visible()
        page.context.set_offline(False)
        panel.get_by_role("button", name="Stop", exact=True).click()
        expect(panel.get_by_role("status")).to_contain_text("Stopping")
        model.go_on.set()
        expect(panel.get_by_text("Stopped (writer)")).to_be_visible()
        panel.get_by_text("Generate rows").click()
        panel.get_by_role("button", name="Continue", exact=True).click()
        expect(panel.get_by_text("Last run (writer): 8 rows.")).to_be_visible()
        assert serious(page) == []
        panel.get_by_label("State").select_option("kept")
        expect(panel.get_by_role("listitem")).to_have_count(8)
        panel.get_by_role("listitem").first.get_by_role("button").click()
        expect(panel.locator("mark")).to_be_visible()
        panel.get_by_role("button", name="Keep", exact=True).click()
        expect(panel.get_by_text("2 of 8")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.close()
