"""Nothing that a model wrote or a file is called takes effect on the page, and nothing is fetched from elsewhere."""

import re

from playwright.sync_api import expect

from ragkit.records import Citation
from ragkit.serving.rendering import to_html
from tests.serving.hostile import ANSWERS

ASKED = "When does the last bus back leave?"
NAMES = [
    "<img src=x onerror=document.title='taken'>.md",
    "\"><script>document.title='taken'<\uff0fscript>.md",
    "javascript:document.title='taken'.md",
    "\u202egnp.exe.md",
    "%3Csvg onload=alert(1)%3E.md",
]


def test_hostile_markdown_is_shown_and_takes_no_effect(visit):
    seen = visit()
    seen.choose(mode="chat", model="hostile")
    answer = seen.answer(ASKED)
    # It was really there, as text, and the good part of it as an answer.
    expect(answer).to_contain_text("<script>")
    expect(answer).to_contain_text("onerror=")
    expect(answer.locator(".prose .citation")).to_have_count(1)
    # What no source bears out is marked, and what one does is not.
    expect(answer.locator(".unsupported").first).to_contain_text("script")
    assert "23:10" not in " ".join(answer.locator(".unsupported").all_inner_texts())
    made = answer.locator(".prose").evaluate(
        "prose => [...prose.querySelectorAll('*')].map((each) => [each.localName, ...each.getAttributeNames()])"
    )
    names = {name for name, *_ in made}
    assert names <= {
        "p",
        "a",
        "button",
        "span",
        "strong",
        "em",
        "code",
        "pre",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert not [attribute for _, *attributes in made for attribute in attributes if attribute.startswith("on")]
    links = answer.locator(".prose a").evaluate_all("links => links.map((each) => each.href)")
    assert all(link.startswith("https://") for link in links)
    expect(answer).to_be_visible()
    assert "taken" not in seen.page.title()
    # `visit` sees to it that no request left for elsewhere, and that no policy was broken.


def test_all_hostile_answers_together_take_no_effect(visit):
    seen = visit()
    dialogs = []
    seen.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    citation = Citation(1, "d", "s", 'A "title"><img src=x onerror=alert(1)>', "quote", 0, 5)
    address = seen.page.url
    # The way that answers take: made safe by the server, put in by the page's only place for markup.
    count = seen.page.evaluate(
        """async (answers) => {
          const { h, serverHtml } = await import("/page/js/dom.js");
          for (const html of answers) document.querySelector("#thread").append(serverHtml(h("div.prose"), html));
          for (const each of document.querySelectorAll("#thread .prose *")) {
            each.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
            if (each.localName !== "a") each.click();
          }
          return document.querySelectorAll("#thread .prose").length;
        }""",
        [to_html(answer, [citation]) for answer in ANSWERS],
    )
    assert count == len(ANSWERS) >= 40
    seen.page.wait_for_load_state("networkidle")
    assert dialogs == []
    assert seen.page.url == address
    expect(seen.page.get_by_label("Question", exact=True)).to_be_visible()


def test_markdown_that_slips_past_the_server_is_stopped_by_the_policy(visit):
    """The second wall: with the sanitiser out of the way, the page's policy lets nothing run or load."""
    seen = visit()
    seen.page.evaluate(
        """() => {
          document.querySelector("#thread").innerHTML =
            `<img src="https://elsewhere.example/pixel.png" onerror="document.title='taken'">
             <iframe src="https://elsewhere.example/"></iframe><div style="position:fixed" id="dressed"></div>
             <button id="press" onclick="document.title='taken'">press</button>`;
        }"""
    )
    seen.page.locator("#press").click()
    assert seen.page.locator("#dressed").evaluate("each => getComputedStyle(each).position") == "static"
    assert "taken" not in seen.page.title()
    told = " ".join(seen.complaints)
    assert re.search("(?i)content security policy", told)
    assert "img-src" in told and "script-src" in told and "style-src" in told
    seen.complaints.clear()
    # What the browser noted is that it was asked for, not that it went out: each of them was refused before.
    seen.requests[:] = [url for url in seen.requests if "elsewhere.example" not in url]


def test_hostile_file_names_are_shown_and_take_no_effect(visit):
    seen = visit(preferences='{"sometimes": false, "collection": "empty"}')
    files = [
        {"name": name, "mimeType": "text/markdown", "buffer": f"# Note {number}\n\nNumber {number}.\n".encode()}
        for number, name in enumerate(NAMES)
    ]
    seen.page.locator("#files").set_input_files(files)
    tray = seen.page.get_by_role("region", name="Uploads")
    expect(tray.get_by_text("5 added", exact=True)).to_be_visible()
    seen.page.get_by_role("button", name="Documents", exact=True).click()
    listed = seen.panel.get_by_role("list", name="Documents")
    expect(listed).to_contain_text("onerror")
    assert listed.locator("img, script").count() == 0
    assert tray.locator("img, script").count() == 0
    assert "\u202e" not in listed.inner_text()
    listed.get_by_role("button", name="Note 0").first.click()
    expect(seen.panel.locator(".fulltext")).to_contain_text("Number 0.")
    assert "taken" not in seen.page.title()


def test_every_file_of_the_page_has_its_type_and_is_asked_for_anew(visit):
    seen = visit()
    files = {url for url in seen.requests if "/page/" in url}
    assert any(url.endswith("main.js") for url in files)
    for url in [seen.requests[0], *files]:
        first = seen.context.request.get(url)
        assert first.ok
        assert first.headers["cache-control"] == "no-cache"
        assert "default-src 'none'" in first.headers["content-security-policy"]
        again = seen.context.request.get(url, headers={"If-None-Match": first.headers["etag"]})
        assert again.status == 304
    for elsewhere in (
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/js/",
        "/page/js/nothing.js",
        "/page//etc/passwd",
    ):
        assert seen.context.request.get(elsewhere).status == 404
