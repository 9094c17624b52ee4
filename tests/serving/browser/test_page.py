"""The chat page, used as people use it."""

import re

import pytest
from playwright.sync_api import expect

from tests.serving.browser.conftest import PATIENCE

QUESTION = "When does the last bus back leave?"
PARTY = "# Moon party \U0001f315\U0001f315\n\nBring \U0001f9e5 and \U0001f526!\n\nThe moon party is on 3 May.\n"
"""Signs that JavaScript counts as two stand before what is quoted."""
MANUAL = "What does error E27 mean?"


def flat(text):
    return " ".join(text.split())


def test_answer_from_text_opens_it_with_the_quote_marked(visit):
    seen = visit()
    answer = seen.answer(QUESTION)
    expect(answer).to_contain_text("23:10")
    answer.locator(".prose .citation").first.click()
    expect(seen.panel.get_by_role("heading", name="Questions and Answers")).to_be_visible()
    quote = flat(seen.panel.locator("blockquote").inner_text())
    assert "23:10" in quote
    assert flat("".join(seen.panel.locator("mark").all_inner_texts())) == quote
    expect(seen.panel.locator("mark").first).to_be_in_viewport()


def test_answer_from_a_pdf_opens_its_page_with_the_quote_marked(visit):
    seen = visit()
    seen.answer(MANUAL).locator(".sources button", has_text="page 4").first.click()
    panel = seen.panel
    expect(panel.get_by_text("Page 4 of 5")).to_be_visible()
    expect(panel.locator(".sheet img")).to_have_js_property("complete", True)
    marks = panel.locator(".quote-mark")
    expect(marks.first).to_be_in_viewport()
    sheet = panel.locator(".sheet").bounding_box()
    for mark in (each.bounding_box() for each in marks.all()):
        assert sheet["x"] - 2 <= mark["x"] < mark["x"] + mark["width"] <= sheet["x"] + sheet["width"] + 2
        assert sheet["y"] - 2 <= mark["y"] < mark["y"] + mark["height"] <= sheet["y"] + sheet["height"] + 2
    # Under the mark stand letters; as high above it again there is the space between two paragraphs.
    inside, above = seen.page.evaluate(
        """() => {
          const image = document.querySelector(".sheet img"), mark = document.querySelector(".quote-mark");
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
          const brush = canvas.getContext("2d", { willReadFrequently: true });
          brush.drawImage(image, 0, 0);
          const scale = image.naturalWidth / image.clientWidth;
          const ink = (top, height) => {
            const box = [mark.offsetLeft, top, mark.offsetWidth, height].map((each) => Math.round(each * scale));
            const { data } = brush.getImageData(...box);
            let dark = 0;
            for (let at = 0; at < data.length; at += 4) dark += data[at] < 128;
            return dark / (data.length / 4);
          };
          const height = mark.offsetHeight;
          return [ink(mark.offsetTop, height), ink(mark.offsetTop - height * 0.35, height * 0.3)];
        }"""
    )
    assert inside > 0.05 > 0.005 > above
    panel.get_by_role("button", name="Previous page").click()
    expect(panel.get_by_text("Page 3 of 5")).to_be_visible()
    expect(marks).to_have_count(0)
    panel.get_by_role("button", name="Go to quote").click()
    expect(marks.first).to_be_in_viewport()
    panel.get_by_role("button", name="Text", exact=True).click()
    expect(panel.locator("mark").first).to_be_in_viewport()
    assert flat("".join(panel.locator("mark").all_inner_texts())) == flat(panel.locator("blockquote").inner_text())


def test_files_are_read_and_each_one_refused_tells_why(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "empty", "mode": "quotes"}')
    files = [
        {"name": "party.md", "mimeType": "text/markdown", "buffer": PARTY.encode()},
        {"name": "cut.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 and no more"},
    ]
    seen.page.locator("#files").set_input_files(files)
    rows = seen.page.get_by_role("region", name="Uploads").get_by_role("listitem")
    expect(rows.nth(0)).to_contain_text("Added and ready to search.")
    expect(rows.nth(1)).to_contain_text(re.compile("Rejected: .*PDF"))
    expect(seen.page.get_by_text("1 added, 1 rejected", exact=True)).to_be_visible()
    answer = seen.answer("When is the moon party?")
    expect(answer).to_contain_text("3 May")
    answer.locator(".sources button").first.click()
    expect(seen.panel.locator("mark")).to_have_text("The moon party is on 3 May.")
    seen.page.get_by_role("button", name="Documents", exact=True).click()
    expect(seen.panel.get_by_role("list", name="Documents").get_by_role("listitem")).to_have_count(1)
    seen.panel.get_by_role("button", name="Remove “party.md”").click()
    seen.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(seen.panel.get_by_text("No documents yet.")).to_be_visible()


def test_dropped_table_is_read_and_goes_with_all_its_rows(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "empty"}')
    carried = seen.page.evaluate_handle(
        """() => {
          const carried = new DataTransfer();
          const table = "comet,comes\\nHale,9 June\\nEncke,3 July\\n";
          carried.items.add(new File([table], "comets.csv", { type: "text/csv" }));
          return carried;
        }"""
    )
    seen.page.dispatch_event("body", "dragenter", {"dataTransfer": carried})
    expect(seen.page.get_by_text("Add to empty")).to_be_visible()
    seen.page.dispatch_event("body", "drop", {"dataTransfer": carried})
    expect(seen.page.get_by_text("Add to empty")).to_be_hidden()
    expect(seen.page.get_by_text("1 added", exact=True)).to_be_visible()
    seen.page.get_by_role("button", name="Documents", exact=True).click()
    listed = seen.panel.get_by_role("list", name="Documents").get_by_role("listitem")
    expect(listed).to_have_count(1)
    expect(listed).to_contain_text("2 documents")
    listed.first.get_by_role("button", name="Remove “comets.csv”").click()
    seen.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(listed).to_have_count(0)


def test_words_come_one_by_one_and_stop(visit, site):
    seen = visit(viewport={"width": 1280, "height": 520})
    seen.choose(mode="chat", model="endless")
    seen.ask(QUESTION)
    words = seen.page.locator(".prose.growing")
    expect(words).to_contain_text("word5 ")
    first = len(words.inner_text())
    # Who reads at the end keeps the end in view; who scrolled up is left alone.
    thread = seen.page.locator("#thread")
    at_end = "thread => thread.scrollHeight - thread.clientHeight - thread.scrollTop"
    seen.until("document.querySelector('#thread').scrollTop > 200")
    assert len(words.inner_text()) > first
    assert thread.evaluate(at_end) < 80
    thread.evaluate("thread => thread.scrollTo(0, 40)")
    to_end = seen.page.get_by_role("button", name="Scroll to the latest answer")
    expect(to_end).to_be_visible()
    before = len(words.inner_text())
    seen.until(f"document.querySelector('.prose.growing').textContent.length > {before + 300}")
    assert thread.evaluate("thread => thread.scrollTop") == 40
    to_end.click()
    assert thread.evaluate(at_end) < 80
    seen.page.keyboard.press("Escape")
    expect(seen.page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    assert site.endless.ended.wait(20), "the model goes on"
    kept = seen.page.get_by_role("article", name="Answer").inner_text()
    seen.page.reload()
    expect(seen.page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    assert seen.page.get_by_role("article", name="Answer").inner_text() == kept


def test_answer_goes_on_after_a_reload(visit, site):
    seen = visit()
    seen.choose(mode="chat", model="endless")
    seen.ask(QUESTION)
    words = seen.page.locator(".prose.growing")
    expect(words).to_contain_text("word5 ")
    seen.page.reload()
    expect(words).to_contain_text("word0 is said. word1 ")
    before = len(words.inner_text())
    seen.until(f"document.querySelector('.prose.growing').textContent.length > {before + 100}")
    expect(seen.page.get_by_role("article")).to_have_count(2)
    seen.page.get_by_role("button", name="Stop (Esc)").click()
    expect(seen.page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    assert site.endless.ended.wait(20), "the model goes on"
    seen.page.reload()
    expect(seen.page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    expect(seen.page.get_by_role("article")).to_have_count(2)


def test_real_model_chats_and_tells_why(visit):
    seen = visit()
    seen.choose(mode="chat")
    answer = seen.answer("How many steps lead to the dome?")
    answer.get_by_role("button", name="Why this answer").click()
    expect(seen.panel.get_by_role("heading", name="Retrieved passages")).to_be_visible()
    expect(seen.panel.get_by_role("heading", name="Prompt", exact=True)).to_be_visible()
    expect(seen.panel.locator("details.said", has_text="user").last).to_contain_text("How many steps lead to the dome?")
    expect(seen.panel.get_by_role("heading", name="Time")).to_be_visible()
    expect(seen.panel.get_by_role("img", name=re.compile("^meaning: 0\\.")).first).to_be_visible()
    # From a passage to its source, and back.
    seen.panel.locator("li.card .link").first.click()
    expect(seen.panel.locator("mark, .quote-mark").first).to_be_visible()
    seen.panel.get_by_role("button", name="Back").click()
    expect(seen.panel.get_by_role("heading", name="Why this answer")).to_be_visible()


def test_one_document_is_asked_alone(visit):
    seen = visit()
    page = seen.page
    page.get_by_role("button", name="Documents", exact=True).click()
    seen.panel.get_by_role("button", name="Questions and Answers").click()
    seen.panel.get_by_role("button", name="Search only this document").click()
    expect(page.locator(".only")).to_have_text("Only Lumen Ridge Observatory: Questions and Answers")
    expect(seen.answer(QUESTION)).to_contain_text("23:10")
    expect(seen.answer(MANUAL)).not_to_contain_text("55 kilometres")
    page.get_by_role("button", name="Search all documents").click()
    expect(seen.answer(MANUAL)).to_contain_text("55 kilometres")


def test_unanswerable_question_says_so(visit):
    answer = visit().answer("Who won the football world cup in 2014?")
    expect(answer).to_contain_text("Not in the documents.")
    expect(answer).to_contain_text("No retrieved passage supports an answer")


def test_two_answers_are_ranked_and_named_only_then(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "observatory"}')
    page = seen.page
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Compare the selected mode with").select_option(label="Quotes")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare answers").click()
    seen.ask(QUESTION)
    expect(page.get_by_role("button", name="Left is better")).to_be_visible()
    pair = page.locator(".pair")
    expect(pair.get_by_role("article")).to_have_count(2)
    assert "smollm2" not in pair.inner_text()
    # Who writes the next question does not vote with its first letter.
    page.get_by_label("Question", exact=True).press("1")
    expect(page.get_by_role("button", name="Left is better")).to_be_visible()
    page.get_by_role("group", name="Which answer is better?").focus()
    page.keyboard.press("2")
    expect(page.get_by_text("Saved, thank you.")).to_be_visible()
    named = pair.get_by_role("heading", level=3).all_inner_texts()
    assert sorted(name.removesuffix(" — your choice") for name in named) == [
        "Automatic · smollm2",
        "Quotes",
    ]
    assert named[1].endswith("your choice")
    winner = named[1].removesuffix(" — your choice")
    page.get_by_role("button", name="Leaderboard").click()
    first = seen.panel.locator(".standing").first
    expect(first).to_contain_text(winner)
    expect(first).to_contain_text("1 won, 0 lost")
    expect(first.get_by_role("img", name=re.compile("^Wins 100 %, between 21 % and"))).to_be_visible()


def test_two_answers_wait_for_their_vote_until_later(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "observatory", "model": "hostile", "mode": "quotes"}')
    page = seen.page
    groups = page.get_by_role("group", name="Which answer is better?")
    for count, question in enumerate((QUESTION, "Where are tripods allowed?"), 1):
        page.get_by_role("button", name="Compare answers").click()
        seen.ask(question)
        expect(groups).to_have_count(count)
    seen.answer("Where are tripods allowed?")
    page.reload()
    expect(groups).to_have_count(2)
    expect(page.get_by_role("article", name="Your question")).to_have_count(3)
    assert "Quotes" not in page.locator(".pair").first.inner_text()
    # A key is for the latest of them, wherever the focus is, or for the one that holds it.
    page.get_by_role("heading", level=1).focus()
    page.keyboard.press("1")
    expect(page.locator(".comparison").last.get_by_text("Saved, thank you.")).to_be_visible()
    expect(groups).to_have_count(1)
    page.get_by_role("button", name="Right is better").focus()
    page.keyboard.press("0")
    expect(page.locator(".comparison").first.get_by_text("Saved, thank you.")).to_be_visible()
    kept = page.locator(".comparison").first.get_by_role("button", name="Good answer")
    expect(kept).to_have_count(1)
    page.reload()
    expect(page.get_by_role("article", name="Answer")).to_have_count(3)
    expect(groups).to_have_count(0)


def test_two_answers_come_now_and_then_by_themselves(visit):
    preferences = '{"collection": "observatory", "model": "hostile", "mode": "quotes"}'
    seen = visit(preferences=preferences)
    for chance, answers in ((0.5, 1), (0.05, 2)):
        seen.page.evaluate(f"Math.random = () => {chance}")
        seen.page.get_by_role("button", name="New conversation").first.click()
        seen.ask(QUESTION)
        expect(seen.page.locator("[data-message]")).to_have_count(answers)
    expect(seen.page.get_by_text("Sometimes you see two answers")).to_be_visible()
    seen.page.get_by_role("button", name="Settings").click()
    seen.page.get_by_role("checkbox").uncheck()
    seen.page.keyboard.press("Escape")
    seen.page.get_by_role("button", name="New conversation").first.click()
    seen.ask(QUESTION)
    expect(seen.page.locator("[data-message]")).to_have_count(1)


def test_answer_goes_on_while_another_conversation_is_shown(visit):
    seen = visit()
    seen.choose(mode="chat", model="endless")
    seen.ask(QUESTION)
    words = seen.page.locator(".prose.growing")
    expect(words).to_contain_text("word5 ")
    address = seen.page.url
    seen.page.get_by_role("button", name="New conversation").first.click()
    expect(seen.page.get_by_role("heading", name="Ask observatory")).to_be_visible()
    seen.page.go_back()
    assert seen.page.url == address
    expect(words).to_contain_text("word20 ")
    expect(seen.page.get_by_role("article")).to_have_count(2)
    seen.page.get_by_role("button", name="Stop (Esc)").click()
    expect(seen.page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    expect(seen.page.get_by_role("article")).to_have_count(2)


def test_answer_that_ends_while_its_conversation_is_opened_shows_once(visit):
    seen = visit()
    page = seen.page
    seen.choose(mode="chat", model="endless")
    seen.ask(QUESTION)
    expect(page.locator(".prose.growing")).to_contain_text("word5 ")
    held = []

    def hold(route):
        # The first one is answered with what is so now, but later; the others go their way.
        held.append((route, route.fetch())) if not held else route.continue_()

    def leave_and_come_back():
        page.get_by_role("button", name="New conversation").first.click()
        expect(page.get_by_role("heading", name="Ask observatory")).to_be_visible()
        page.go_back()

    def wait_until_held():
        for _ in range(50 * PATIENCE):
            if held:
                return
            page.wait_for_timeout(20)
        raise AssertionError("nothing was asked for")

    stop = page.get_by_role("button", name="Stop (Esc)")
    page.route(re.compile(r"/api/conversations/[\w-]+$"), hold)
    leave_and_come_back()
    wait_until_held()
    stop.click()
    expect(page.get_by_role("button", name="Send (Enter)")).to_be_visible()
    route, response = held[0]
    route.fulfill(response=response)
    expect(page.get_by_text("Stopped. The partial answer is saved.")).to_be_visible()
    expect(page.get_by_role("button", name="Send (Enter)")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(2)


def test_conversation_is_found_again_and_goes_on(visit):
    seen = visit()
    page = seen.page
    seen.answer("Where are tripods and monopods allowed?")
    address = page.url
    seen.answer(MANUAL)
    page.reload()
    expect(page.get_by_role("article", name="Answer")).to_have_count(2)
    page.get_by_role("button", name="New conversation").first.click()
    expect(page.get_by_role("heading", name="Ask observatory")).to_be_visible()
    assert page.url != address
    page.keyboard.press("Control+k")
    page.keyboard.type("kilometres monopods")
    found = page.locator("#conversations").get_by_role("link")
    expect(found).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="Answer")).to_have_count(2)
    assert page.url == address
    with page.expect_download() as download:
        page.get_by_role("button", name="Export to Markdown").click()
    exported = download.value.path().read_text()
    assert "Where are tripods and monopods allowed?" in exported
    assert "telescope-manual.pdf, page 4" in exported


def test_answer_is_rated_corrected_and_kept_as_an_example(visit):
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    page = seen.page
    answer = seen.answer("How long is a booking held?")
    good = answer.get_by_role("button", name="Good answer")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    answer.get_by_role("button", name="Correct this answer").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Fifteen minutes.")
    page.get_by_role("button", name="Save correction").click()
    expect(answer.get_by_text("Your correction: Fifteen minutes.")).to_be_visible()
    answer.get_by_role("button", name="Use as an example").click()
    answer.get_by_role("button", name="Copy with sources").click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "[1] Visitor Policy" in copied
    page.reload()
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Your correction: Fifteen minutes.")).to_be_visible()
    page.get_by_role("button", name="Examples", exact=True).click()
    card = seen.panel.get_by_role("listitem").filter(has_text="How long is a booking held?")
    expect(card).to_contain_text("Fifteen minutes.")
    card.get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)


def test_keyboard_alone_leads_from_the_page_to_an_answer_and_its_source(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "observatory"}')
    page = seen.page
    expect(page.get_by_label("Question", exact=True)).to_be_focused()
    page.keyboard.type(MANUAL)
    page.keyboard.press("Enter")
    source = page.get_by_role("group", name="Sources").get_by_role("button").first
    expect(source).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if source.evaluate("element => element === document.activeElement"):
            break
    expect(source).to_be_focused()
    page.keyboard.press("Enter")
    expect(seen.panel.locator(".quote-mark").first).to_be_in_viewport()
    expect(seen.panel.get_by_role("heading", level=2)).to_be_focused()
    page.keyboard.press("Escape")
    expect(seen.panel).to_be_hidden()
    expect(source).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_first_tab_leads_past_everything_to_the_question(visit):
    # Where there is room, the question has the focus from the beginning.
    page = visit(viewport={"width": 800, "height": 700}).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the question")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question", exact=True)).to_be_focused()


def test_skipping_to_the_question_leaves_the_conversation_as_it_is(visit):
    seen = visit()
    page = seen.page
    seen.answer("Where are tripods allowed?")
    address = page.url
    page.get_by_role("link", name="Skip to the question").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question", exact=True)).to_be_focused()
    assert page.url == address
    # Before the scripts are there, the link works by its address, which is then reloaded and kept as a bookmark.
    page.goto(address.replace(address[address.index("#") :], "#question"))
    page.reload()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("heading", name="Ask observatory")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("chosen", ["system", "setting"])
def test_dark_mode_follows_the_system_and_the_setting(visit, chosen):
    seen = visit(color_scheme="dark" if chosen == "system" else "light")
    page = seen.page
    if chosen == "setting":
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Appearance").select_option("dark")
        page.keyboard.press("Escape")
        page.reload()
        page.get_by_label("Question", exact=True).wait_for()
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", shade)[:3])) < 60


def test_phone_shows_everything_without_scrolling_sideways(visit):
    seen = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = seen.page

    def fits():
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    assert fits()
    send = page.get_by_role("button", name="Send (Enter)").bounding_box()
    assert send["x"] + send["width"] <= 360
    answer = seen.answer(MANUAL)
    assert fits()
    answer.locator(".sources button").first.click()
    expect(seen.panel.locator(".quote-mark").first).to_be_in_viewport()
    assert seen.panel.bounding_box()["width"] == 360
    assert fits()
    seen.panel.get_by_role("button", name="Close (Esc)").click()
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("searchbox", name="Search conversations")).to_be_in_viewport()
    assert fits()
    page.get_by_role("button", name="Documents", exact=True).click()
    expect(seen.panel.get_by_role("list", name="Documents")).to_be_visible()
    assert fits()


def test_server_that_leaves_is_told_of_until_it_is_back(visit):
    seen = visit()
    seen.context.route("**/api/**", lambda route: route.abort())
    seen.ask(QUESTION)
    expect(seen.page.get_by_text("The server does not respond. The page reconnects automatically.")).to_be_visible()
    expect(seen.page.get_by_role("alert")).to_contain_text("The server does not respond.")
    seen.context.unroute("**/api/**")
    expect(seen.page.get_by_text("The server does not respond. The page reconnects automatically.")).to_be_hidden()
    seen.page.get_by_role("button", name="Ask again").click()
    expect(seen.page.locator("[data-message]")).to_contain_text("23:10")
    # What the browser says of requests that did not arrive is what this test is about.
    assert all("ERR_FAILED" in said for said in seen.complaints)
    seen.complaints.clear()


def test_token_is_asked_for_until_it_holds(chromium, serve, tmp_path):
    with serve(indexes=tmp_path, token="the-owner-s-own-token", models=("none",)) as url:
        page = chromium.new_page()
        page.goto(url)
        dialog = page.get_by_role("dialog", name="Log in")
        dialog.get_by_label("Token").fill("another")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("Invalid token")
        page.keyboard.press("Escape")
        dialog.get_by_label("Token").fill("the-owner-s-own-token")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Create your first collection")).to_be_visible()
        page.get_by_label("Collection name").fill("letters")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", name="letters is empty")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="letters is empty")).to_be_visible()
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Log out").click()
        expect(dialog).to_be_visible()
        page.context.close()
