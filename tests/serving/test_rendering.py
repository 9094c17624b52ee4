"""Answers as HTML: Markdown stays, citations are buttons, and nothing hostile comes through."""

from html.parser import HTMLParser

import pytest

from ragkit.records import Citation
from ragkit.serving.rendering import to_html
from tests.serving.hostile import ANSWERS

CITATIONS = (
    Citation(1, "d1", "/srv/manual.pdf", 'The "Manual" <b>\u202e', "It weighs 4 kg.", 10, 25, page=3),
    Citation(12, "d2", "/srv/notes.md", "Notes", "Yes.", 0, 4),
)
ALLOWED = {
    "a": {"href", "target", "rel"},
    "button": {"type", "class", "data-number", "aria-label"},
    "ol": {"start"},
}
PLAIN = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "li"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


class Reader(HTMLParser):
    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.code = [], "", ""
        self._inside = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if "code" in self._inside:
            self.code += data

    def handle_comment(self, data):
        self.tags.append(("comment", {}))

    handle_decl = handle_pi = unknown_decl = handle_comment

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_hostile_answer_leaves_nothing_that_runs_or_loads(answer):
    page = Reader(to_html(answer, CITATIONS))
    for tag, attributes in page.tags:
        assert tag in ALLOWED or tag in PLAIN
        assert set(attributes) <= ALLOWED.get(tag, set())
    for link in page.of("a"):
        assert link["href"].startswith(("http://", "https://"))
        assert link["rel"] == "noopener noreferrer nofollow"
        assert link["target"] == "_blank"
    for button in page.of("button"):
        assert button["aria-label"] == 'Source 1: The "Manual" <b>, page 3'
        assert button["type"] == "button"
    assert not set(page.text) & set("\x00\x01\x1b\u202e\u202c\u2066\u2069\ufeff\u2028\U000e0041")


def test_hostile_answers_are_forty_or_more():
    assert len(set(ANSWERS)) >= 40


def test_known_citation_is_a_button_with_a_label():
    html = to_html("It weighs 4 kg [1]. Yes [12].", CITATIONS)
    assert html.strip() == (
        '<p>It weighs 4 kg <button type="button" class="citation" data-number="1" '
        'aria-label="Source 1: The &quot;Manual&quot; &lt;b&gt;, page 3">1</button>. Yes '
        '<button type="button" class="citation" data-number="12" aria-label="Source 12: Notes">12</button>.</p>'
    )


@pytest.mark.parametrize("text", ["see [2]", "`[1]`", "```\n[1]\n```", r"\[1\]", "    [1]", "[01]", "[1 ]", "[]"])
def test_other_brackets_stay_text(text):
    page = Reader(to_html(text, CITATIONS))
    assert not page.of("button")
    assert text.strip("`\n ").replace("\\", "").removeprefix("see ") in page.text


def test_reference_definition_takes_no_citation_for_a_link():
    page = Reader(to_html("Yes [1].\n\n[1]: http://evil.test/x", CITATIONS))
    assert len(page.of("button")) == 2
    assert not page.of("a")


def test_link_shows_where_it_leads():
    page = Reader(to_html("[our bank](https://evil.test/x) and <https://here.test/>"))
    assert [link["href"] for link in page.of("a")] == ["https://evil.test/x", "https://here.test/"]
    assert page.text.strip() == "our bank (https://evil.test/x) and https://here.test/"


def test_markdown_stays():
    lines = [
        "# Title",
        "**bold** *soft* ~~gone~~",
        "3. a\n4. b",
        "| x | y |\n|---|--:|\n| 1 | 2 |",
        "```py\nx < 1\n```",
    ]
    html = to_html("\n\n".join(lines))
    names = [tag for tag, _ in Reader(html).tags]
    for tag in ("h3", "strong", "em", "s", "ol", "li", "table", "th", "td", "pre", "code"):
        assert tag in names
    assert Reader(html).of("ol") == [{"start": "3"}]
    assert Reader(html).code == "x < 1\n"


def test_heading_stays_below_those_of_the_page():
    assert to_html("# a\n\n###### b") == "<h3>a</h3>\n<h6>b</h6>\n"


@pytest.mark.parametrize(
    ("markdown", "formulas"),
    [
        (r"Energy \(E = m_1 * c^2\) and \[\int_0^1 x\,dx\] end.", ["E = m_1 * c^2", r"\int_0^1 x\,dx"]),
        ("$$\na_1\n= b_2\n- c\n$$\n\nafter", ["a_1\n= b_2\n- c"]),
        ("$$x$$ and $$y$$, $n$ and $a + b$", ["x", "y", "n", "a + b"]),
        ("It costs $5 or $10, 3$ or 4$, US$ 7, $20-$30, and $5 and 6$ more.", []),
        ("`$x_1$` \\\\(no\\\\) $$ and \\[1\\]", []),
        ("$<b>\\alpha</b>$", ["<b>\\alpha</b>"]),
        ("$$\nnever closed_1", []),
    ],
)
def test_formulas_keep_their_latex_and_prices_are_none(markdown, formulas):
    html = to_html(markdown)
    page = Reader(html)
    assert html.count('class="formula') == len(formulas)
    assert all(formula in page.text for formula in formulas)
    assert "<b>" not in html
