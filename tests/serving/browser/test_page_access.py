"""Who uses the page with a screen reader, without a mouse or with little sight: axe-core finds nothing serious."""

from pathlib import Path

import axe_core_python
import pytest
from playwright.sync_api import expect

AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious(visit, look):
    # The rules come in as a script of their own, which the page's policy would not let in.
    seen = visit(bypass_csp=True, **LOOKS[look])
    page = seen.page
    page.add_script_tag(content=AXE)

    def check(where):
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = {
            (each["id"], node["html"][:120])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        }
        assert not serious, where

    def open_from_rail(name):
        if look == "phone":
            if seen.panel.is_visible():
                seen.panel.get_by_role("button", name="Close (Esc)").click()
            page.get_by_role("button", name="Conversations", exact=True).click()
        page.get_by_role("button", name=name, exact=True).click()

    check("the empty page")
    answer = seen.answer("What does error E27 mean?")
    check("an answer")
    answer.locator(".sources button").first.click()
    expect(seen.panel.locator(".quote-mark").first).to_be_in_viewport()
    check("a page of a source")
    seen.panel.get_by_role("button", name="Text", exact=True).click()
    expect(seen.panel.locator("mark").first).to_be_visible()
    check("the text of a source")
    seen.panel.get_by_role("button", name="Close (Esc)").click()
    answer.get_by_role("button", name="Why this answer").click()
    expect(seen.panel.get_by_role("heading", name="Retrieved passages")).to_be_visible()
    check("why")
    open_from_rail("Documents")
    expect(seen.panel.get_by_role("listitem").first).to_be_visible()
    check("documents")
    if look == "phone":
        seen.panel.get_by_role("button", name="Close (Esc)").click()
    seen.choose(model="hostile")
    page.get_by_role("button", name="Compare answers").click()
    seen.ask("When does the last bus back leave?")
    expect(page.get_by_role("button", name="Left is better")).to_be_visible()
    check("two answers")
    cut = {"name": "cut.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 and no more"}
    page.locator("#files").set_input_files([cut])
    expect(page.get_by_text("1 rejected", exact=True)).to_be_visible()
    check("a file that was refused")
    open_from_rail("Settings")
    expect(page.get_by_role("dialog")).to_be_visible()
    check("settings")
    page.keyboard.press("Escape")
