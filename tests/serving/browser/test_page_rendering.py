"""What an answer looks like: while it grows, with code, tables and formulas, and from right to left."""

from playwright.sync_api import expect

QUESTION = "When does the last bus back leave?"


def test_answer_is_rendered_as_it_grows_and_ends_as_it_stands(visit, site):
    site.gated.gate.clear()
    seen = visit()
    seen.choose(mode="chat", model="gated")
    seen.ask(QUESTION)
    growing = seen.page.locator(".prose.growing")
    expect(growing.locator("strong")).to_have_text("23:10")
    expect(growing.get_by_role("heading", name="The last bus")).to_be_visible()
    assert "**" not in growing.inner_text() and "#" not in growing.inner_text()
    expect(growing.locator(".caret")).to_be_visible()
    # A citation of a sentence that has come opens its source before the others have.
    growing.locator("button.citation").first.click()
    expect(seen.panel.locator("mark, .quote-mark").first).to_be_visible()
    # What stands already is not made again: what a reader has selected stays selected.
    growing.locator("h3").evaluate("heading => { heading.dataset.same = 'yes'; }")
    site.gated.gate.set()
    expect(growing.locator("h3[data-same]")).to_have_count(1)
    answer = seen.page.locator("[data-message]")
    expect(answer).to_be_visible()
    expect(seen.page.locator(".caret")).to_have_count(0)
    # No heading, cell or piece of code is underlined; the table and the code are marked as a whole.
    assert answer.locator("h3 .unsupported, table .unsupported, code .unsupported").count() == 0
    expect(answer.locator("p .unsupported", has_text="Unicorns board it")).to_be_visible()
    expect(answer.locator("pre.unsupported")).to_be_visible()


def test_code_is_copied_and_formulas_are_drawn(visit, site):
    site.gated.gate.set()
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    assert not [url for url in seen.requests if "katex" in url]
    seen.choose(mode="chat", model="gated")
    answer = seen.answer(QUESTION)
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    assert seen.page.evaluate("navigator.clipboard.readText()").strip() == 'print("a green unicorn")'
    drawn = answer.locator(".formula .katex")
    expect(drawn).to_have_count(2)
    assert answer.locator(".formula.display .katex .mord.mtight").count() > 0
    assert drawn.last.bounding_box()["height"] > 20
    expect(answer.locator(".formula.wrong")).to_have_text("\\frac{1")
    expect(answer).to_contain_text("Tickets cost $5 or $10 each.")
    assert {url.rpartition(".")[2] for url in seen.requests if "katex" in url} == {"js", "css", "woff2"}


def test_text_from_right_to_left_is_set_so(visit):
    seen = visit()
    field = seen.page.get_by_label("Question", exact=True)

    def direction(place):
        return place.evaluate("element => getComputedStyle(element).direction")

    field.fill("متى تغادر آخر حافلة؟")
    assert direction(field) == "rtl"
    seen.choose(mode="chat", model="arabic")
    answer = seen.answer(QUESTION)
    assert direction(answer.locator(".prose > p").first) == "rtl"
    assert direction(answer.locator(".prose li").first) == "rtl"
    assert direction(seen.page.locator(".question p")) == "ltr"
    item, around = answer.locator(".prose li").first.bounding_box(), answer.locator(".prose").bounding_box()
    # The marks of the list stand at its right.
    assert item["x"] + item["width"] < around["x"] + around["width"] - 10


def test_narrow_table_does_not_cut_a_number(visit, site):
    site.gated.gate.set()
    seen = visit(viewport={"width": 280, "height": 700})
    seen.choose(mode="chat", model="gated")
    cell = seen.answer(QUESTION).locator("td", has_text="120.00")
    lines = cell.evaluate(
        """cell => {
          const range = document.createRange();
          range.setStart(cell.firstChild ?? cell, 0);
          const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
          range.setStart(text, 0);
          range.setEnd(text, "120.00".length);
          return range.getClientRects().length;
        }"""
    )
    assert lines == 1
