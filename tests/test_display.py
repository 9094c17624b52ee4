"""What notebooks show: texts escaped, nothing loaded or run, the quote with its page, what is unsupported marked."""

import shutil
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest

from ragkit import Assistant, Index, Retriever
from ragkit.display import prompt_html, report_html
from ragkit.indexing.reports import AddReport
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Hits

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = (
    "</pre></div>\u202e<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\"&amp;"
)
TAGS = {
    *("div", "span", "b", "mark", "sup", "pre", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"style", "title", "role", "aria-label", "scope"}


@pytest.fixture(scope="module")
def index(sample_index, tmp_path_factory):
    with Index.open(shutil.copytree(sample_index, tmp_path_factory.mktemp("display") / "index")) as opened:
        yield opened


@pytest.fixture(scope="module")
def answer(index):
    model = ScriptedModel("The last bus back leaves at 23:10. Elephants drive it on Sundays.")
    return Assistant(index, model, "chat").ask("When does the last bus back leave?")


class Seen(HTMLParser):
    """Reads HTML; tags must be known, opened and closed in order."""

    def __init__(self, html):
        super().__init__()
        self.text = ""
        self.open = []
        self.styles = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES
        style = dict(attrs).get("style") or ""
        assert "url(" not in style
        self.open.append((tag, style))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text += data
        for tag, style in self.open:
            self.styles.setdefault(tag, []).append((style, data))


def hostile(value):
    """Return a record with every text in it replaced."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(map(hostile, value))
    if isinstance(value, dict):
        return {hostile(key) if isinstance(key, str) else key: hostile(one) for key, one in value.items()}
    if is_dataclass(value):
        return replace(value, **{field.name: hostile(getattr(value, field.name)) for field in fields(value)})
    return value


def test_an_answer_shows_its_quote_with_the_page_and_marks_what_is_unsupported(answer):
    seen = Seen(answer._repr_html_())
    (citation,) = answer.citations
    assert [text for style, text in seen.styles["mark"]] == [citation.quote]
    assert citation.title in seen.text
    underlined = "".join(text for style, text in seen.styles["span"] if "wavy" in style)
    assert underlined.startswith("Elephants drive it on Sundays.")
    assert "23:10" not in underlined
    assert seen.styles["sup"][0][1] == "[1]"
    for fact in ("chat", "confidence", "scripted", "tokens", "passages found", "the prompt as sent"):
        assert fact in seen.text


def test_a_quote_of_a_paginated_document_names_its_page(index):
    found = Assistant(index, None, "quotes").ask("How long should the mirror cool before you observe?")
    first = found.citations[0]
    assert first.page == 2
    assert f"<b>{first.title}</b>, page 2" in found._repr_html_()


def test_hits_show_bars_for_their_scores_best_longest(index):
    hits = Retriever(index).search("the last bus", 5)
    assert isinstance(hits, Hits)
    html = hits._repr_html_()
    assert Seen(html).text.count("dense") == sum("dense" in hit.scores for hit in hits)
    widths = [float(part.split("%")[0]) for part in html.split('"width:')[1:]]
    assert widths[0] == 100
    assert widths == sorted(widths, reverse=True)
    assert "the last bus" in Retriever(index).retrieve("the last bus")._repr_html_()
    assert hits[0].chunk.text[:40] in Seen(hits[0]._repr_html_()).text
    assert Seen(Hits()._repr_html_()).text == "No passages."


def test_a_prompt_shows_every_message_with_its_role_and_the_receipt(answer):
    prompt = answer.trace.prompt
    seen = Seen(prompt._repr_html_())
    for message in prompt.messages:
        assert message.content in seen.text
    for section in prompt.receipt.sections:
        assert section.name in seen.text
    assert f"of a window of {prompt.receipt.window:,}" in seen.text


def test_a_coverage_report_shows_what_is_missing_and_why(index, tmp_path):
    (tmp_path / "empty.pdf").write_bytes(b"")
    report = index.add(tmp_path / "empty.pdf")
    seen = Seen(report._repr_html_())
    assert "Something of the documents is missing." in seen.text
    assert "empty.pdf" in seen.text
    assert all(issue.detail in seen.text for issue in report.issues)
    assert "Nothing of the documents is missing." in report_html(AddReport())


def test_hostile_texts_stay_texts(answer):
    taken = hostile(answer)
    trace = answer.trace
    trace = replace(trace, hits=hostile(trace.hits), prompt=hostile(trace.prompt), model=HOSTILE)
    shown = HOSTILE.replace("\u202e", "")
    for html in (replace(taken, trace=trace)._repr_html_(), Hits(trace.hits)._repr_html_(), prompt_html(trace.prompt)):
        seen = Seen(html)
        assert shown in seen.text
        assert "\u202e" not in html


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_hostile_texts_do_nothing_in_a_browser(answer, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    trace = replace(answer.trace, hits=hostile(answer.trace.hits), prompt=hostile(answer.trace.prompt))
    html = replace(hostile(answer), trace=trace)._repr_html_()
    asked = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(f"<title>mine</title>{html}")
        page.locator("summary").first.click()
        assert page.title() == "mine"
        assert page.locator("script, img").count() == 0
        browser.close()
    assert asked == []


def test_a_unit_with_a_label_is_shown_by_it(index):
    hit = Retriever(index).search("the last bus", 1)[0]
    labelled = replace(hit, chunk=replace(hit.chunk, page=3, label="slide <3>"))
    html = Hits((labelled,))._repr_html_()
    assert f"<b>{hit.document.title}</b>, slide &lt;3&gt;" in html
    assert "page 3" not in html
