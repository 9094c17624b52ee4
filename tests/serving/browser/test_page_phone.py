"""The page on a phone: Back, and the phone on its side."""

from playwright.sync_api import expect

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SIDEWAYS = {"viewport": {"width": 844, "height": 390}, "has_touch": True, "is_mobile": True}


def test_back_closes_what_covers_the_thread_one_by_one(visit):
    seen = visit(**PHONE)
    page = seen.page
    answer = seen.answer("What does error E27 mean?")
    address = page.url
    answer.locator(".sources button").first.click()
    expect(seen.panel.locator(".quote-mark").first).to_be_visible()
    page.go_back()
    expect(seen.panel).to_be_hidden()
    expect(answer).to_be_visible()
    assert page.url == address
    # From the drawer to the list, from the list to a document, and back to the thread.
    page.get_by_role("button", name="Conversations", exact=True).click()
    page.get_by_role("button", name="Documents", exact=True).click()
    seen.panel.get_by_role("button", name="Questions and Answers").click()
    expect(seen.panel.get_by_role("heading", level=2)).to_contain_text("Questions and Answers")
    page.go_back()
    expect(seen.panel.get_by_role("heading", level=2)).to_have_text("Documents of observatory")
    page.go_back()
    expect(seen.panel).to_be_hidden()
    # What is closed on the page leaves nothing behind: the next Back leads to where one was before.
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.get_by_role("searchbox", name="Search conversations")).to_be_in_viewport()
    page.go_back()
    expect(page.get_by_role("searchbox", name="Search conversations")).not_to_be_in_viewport()
    answer.locator(".sources button").first.click()
    seen.panel.get_by_role("button", name="Close (Esc)").click()
    expect(seen.panel).to_be_hidden()
    seen.until("history.state?.cover !== true")
    assert page.url == address


def test_phone_on_its_side_shows_the_answer_and_the_question(visit):
    seen = visit(**SIDEWAYS)
    page = seen.page
    seen.answer("What does error E27 mean?")
    thread = page.get_by_role("region", name="Questions and answers").bounding_box()
    assert thread["width"] == 844
    assert thread["height"] > 390 / 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    send = page.get_by_role("button", name="Send (Enter)").bounding_box()
    assert send["x"] + send["width"] <= 844 and send["y"] + send["height"] <= 390
    page.locator(".sources button").first.click()
    assert seen.panel.bounding_box()["width"] == 844
    page.go_back()
    expect(seen.panel).to_be_hidden()
    page.get_by_role("button", name="Conversations", exact=True).click()
    last = page.get_by_role("button", name="Shortcuts")
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
