"""Markdown and its front matter."""

import pytest

from ragkit.documents import load


def read(tmp_path, text):
    (tmp_path / "note.md").write_text(text)
    (document,) = load(tmp_path / "note.md")
    for heading in document.headings:
        assert document.text[heading.start :].lstrip("# ").startswith(heading.title)
    return document


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nThe pool closes on 3 June.\n\nThe sauna stays open.\n\n---\n\n# Notice\n\nLost keys.\n",
        "---\nWritten by the night crew\n---\nThe boiler was drained.\n\n---\n\nIt was filled.\n",
        "---\n- a\n- b\n---\nText.\n",
        "---\nkey: [unclosed\n---\nText.\n",
        "+++\nno toml\n+++\nText.\n",
        "---\na: &a [x, x]\nb: [*a, *a]\n---\nText.\n",
    ],
)
def test_markdown_that_begins_with_a_rule_loses_nothing(tmp_path, text):
    assert read(tmp_path, text).text == text


def test_markdown_front_matter_has_lists_folded_values_and_strings_as_written(tmp_path):
    text = (
        "---\ntitle: Hiking the ridge\ntags:\n  - mountains\n  - autumn\nsummary: >\n  Closed from\n  November.\n"
        'authors: [Lin, Okafor]\nmap: "https://example.org/a:b"\nzip: 01234\nopen: no\n'
        "seo: {order: 3}\n---\n\n# Water\n\nTwo litres.\n"
    )
    document = read(tmp_path, text)
    expected = {
        "title": "Hiking the ridge",
        "tags": "mountains, autumn",
        "summary": "Closed from November.",
        "authors": "Lin, Okafor",
        "map": "https://example.org/a:b",
        "zip": "01234",
        "open": "no",
        "seo.order": 3,
    }
    assert expected.items() <= document.metadata.items()
    assert document.title == "Hiking the ridge"
    assert "Okafor" in document.text
    assert document.text.endswith("# Water\n\nTwo litres.\n")
    assert [heading.title for heading in document.headings] == ["Water"]


def test_markdown_front_matter_in_toml(tmp_path):
    document = read(tmp_path, '+++\ntitle = "Roof garden"\ndate = 2024-05-02\n+++\n\nWater at dusk.\n')
    assert (document.title, document.metadata["date"]) == ("Roof garden", "2024-05-02")
    assert document.text == 'title = "Roof garden"\ndate = 2024-05-02\n\nWater at dusk.\n'
