"""Writing a question: nothing that was written is cut, lost or sent too early."""

from playwright.sync_api import expect


def test_long_paste_stays_whole_and_is_not_sent(visit):
    seen = visit()
    field, send = seen.page.get_by_label("Question", exact=True), seen.page.get_by_role("button", name="Send (Enter)")
    field.fill("x" * 12_000)
    assert len(field.input_value()) == 12_000
    expect(seen.page.locator("#length")).to_contain_text("12,000 of 8,000 characters. Shorten the question by 4,000")
    expect(send).to_be_disabled()
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_role("article")).to_have_count(0)
    # The server counts characters, and so does the page: these are two units each in JavaScript.
    field.fill("\U0001f315" * 8000)
    expect(send).to_be_enabled()
    field.fill("Where are tripods allowed?")
    expect(seen.page.locator("#length")).to_be_hidden()


def test_draft_stays_with_its_conversation_over_a_reload(visit):
    seen = visit()
    page, field = seen.page, seen.page.get_by_label("Question", exact=True)
    field.press_sequentially("A new idea")
    page.reload()
    expect(field).to_have_value("A new idea")
    seen.answer("Where are tripods allowed?")
    expect(field).to_have_value("")
    field.press_sequentially("And monopods?")
    page.get_by_role("button", name="New conversation").first.click()
    expect(field).to_have_value("")
    page.go_back()
    expect(field).to_have_value("And monopods?")
    page.reload()
    expect(field).to_have_value("And monopods?")
    # A question that did not reach the server is one, too.
    page.route("**/answers", lambda route: route.abort())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server does not respond.")
    page.unroute("**/answers")
    page.reload()
    expect(field).to_have_value("And monopods?")
    page.keyboard.press("Enter")
    expect(page.locator("[data-message]")).to_have_count(2)
    page.reload()
    expect(page.get_by_role("article", name="Your question")).to_have_count(2)
    expect(field).to_have_value("")
    seen.complaints[:] = [said for said in seen.complaints if "ERR_FAILED" not in said]


def test_enter_that_ends_a_composition_does_not_send(visit):
    seen = visit()
    field = seen.page.get_by_label("Question", exact=True)
    field.fill("\u5929\u6587\u53f0")
    # Safari tells that the composition has ended first, and only then of the Enter that ended it.
    sent = field.evaluate(
        """field => {
          field.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true, data: field.value }));
          const init = { key: "Enter", keyCode: 229, isComposing: false, bubbles: true, cancelable: true };
          return !field.dispatchEvent(new KeyboardEvent("keydown", init));
        }"""
    )
    assert not sent
    expect(field).to_have_value("\u5929\u6587\u53f0")
    expect(seen.page.get_by_role("article")).to_have_count(0)
