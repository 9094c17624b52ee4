"""XML and subtitles."""

import pytest

from ragkit.documents import Issue, load


def read(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    items = load(tmp_path / name)
    return [item for item in items if not isinstance(item, Issue)], [item for item in items if isinstance(item, Issue)]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        (
            "<book xmlns='http://docbook.org/ns/docbook'><title>Pump</title><chapter><title>Starting</title><para>"
            "Open the <emphasis>inlet</emphasis>.</para><section><title>Cold</title><para>Heat it.</para></section>"
            "</chapter></book>",
            [("Pump", 1), ("Starting", 2), ("Cold", 3)],
        ),
        (
            "<article><front><article-meta><title-group><article-title>Pump</article-title></title-group></article-meta>"
            "</front><body><sec><title>Starting</title><p>Open the <italic>inlet</italic>.</p><sec><title>Cold</title>"
            "<p>Heat it.</p></sec></sec></body></article>",
            [("Pump", 1), ("Starting", 2), ("Cold", 3)],
        ),
        (
            "<TEI xmlns='http://www.tei-c.org/ns/1.0'><text><body><div><head>Starting</head><p>Open the <hi>inlet</hi>."
            "</p><div><head>Cold</head><p>Heat it.</p></div></div></body></text></TEI>",
            [("Starting", 1), ("Cold", 2)],
        ),
    ],
)
def test_xml_of_docbook_jats_and_tei_has_headings(tmp_path, text, headings):
    (document,), issues = read(tmp_path, "t.xml", text)
    assert issues == []
    assert [(heading.title, heading.level) for heading in document.headings] == headings
    assert "\n\nOpen the inlet.\n\nCold\n\nHeat it." in document.text


def test_xml_of_other_kinds_has_the_names_of_its_values(tmp_path):
    text = "<?xml version='1.0' encoding='iso-8859-1'?>"
    text += "<list><!-- no --><city><name>Gr\xe4z</name><pop>3</pop></city></list>"
    (document,), issues = read(tmp_path, "t.xml", text.encode("latin-1"))
    assert (document.text, issues) == ("name: Gräz\npop: 3", [])


def test_xml_tables_and_listings_keep_their_lines(tmp_path):
    text = (
        "<section><title>Parts</title><para>Below:</para><table><tgroup><tbody><row><entry>PX-1</entry>"
        "<entry>5 bar</entry></row><row><entry>PX-2</entry><entry/></row></tbody></tgroup></table>"
        "<screen>a\n  b</screen></section>"
    )
    (document,), issues = read(tmp_path, "t.xml", text)
    assert document.text == "Parts\n\nBelow:\n\n| PX-1 | 5 bar |\n| PX-2 |  |\n\na\n  b"
    assert issues == []


def test_xml_entities_are_neither_expanded_nor_fetched(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    text = (
        f"<!DOCTYPE a [<!ENTITY l 'lol'><!ENTITY m '&l;&l;&l;'><!ENTITY f SYSTEM 'file://{tmp_path}/secret.txt'>]>"
        "<a><p>Here &m; and &f;.</p></a>"
    )
    (document,), (issue,) = read(tmp_path, "t.xml", text)
    assert document.text == "Here &m; and &f;."
    assert "&f;, &m;" in issue.detail


def test_xml_names_of_characters_need_no_definition(tmp_path):
    (document,), issues = read(tmp_path, "t.xml", "<doc><p>From ten &mdash; or later &amp; longer.</p></doc>")
    assert (document.text, issues) == ("From ten — or later & longer.", [])


def test_xml_that_is_damaged_is_read_and_reported(tmp_path):
    (document,), issues = read(tmp_path, "t.xml", "<doc><p>First.</p><p>Second.</doc>")
    assert "First." in document.text
    assert "not valid XML" in issues[0].detail
    documents, (issue,) = read(tmp_path, "u.xml", "no markup")
    assert (documents, issue.kind) == ([], "refused")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "t.vtt",
            "WEBVTT\n\nNOTE not shown\n\nSTYLE\n::cue {}\n\nintro\n"
            "00:05.000 --> 00:07.500 align:start\n<v Ida>The <i>gate</i>\n"
            "is shut.\n\n01:00:10.000 --> 01:00:12.000\nOpen it &amp; go.\n",
        ),
        (
            "t.srt",
            "1\n00:00:05,000 --> 00:00:07,500\nIda: The <i>gate</i>\nis shut.\n\n2\n01:00:10,000 --> 01:00:12,000\n"
            "{\\an8}Open it & go.\n",
        ),
    ],
)
def test_subtitles_are_cues_with_their_times(tmp_path, name, text):
    (document,), issues = read(tmp_path, name, text)
    assert issues == []
    assert document.text == "Ida: The gate is shut.\nOpen it & go."
    assert [page.label for page in document.pages] == ["00:00:05", "01:00:10"]
    shown = [document.text[page.start : page.end] for page in document.pages]
    assert shown == document.text.split("\n")


def test_svg_is_its_title_descriptions_and_labels(tmp_path):
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><style>text {fill: red}</style><title>Water cycle</title>'
        '<g><desc>How rain forms.</desc><path d="M 0 0 L 9 9"/><text x="1">Eva<tspan font-weight="bold">po</tspan>'
        'ration<tspan x="1" dy="9">from lakes</tspan></text></g><defs><text>never drawn</text></defs>'
        '<switch><foreignObject><p xmlns="http://www.w3.org/1999/xhtml">Clouds</p></foreignObject>'
        "<text>can not display</text></switch></svg>"
    )
    (document,) = load(tmp_path / "a.svg")
    assert document.text == "Water cycle\n\nHow rain forms.\n\nEvaporation from lakes\n\nClouds"
    assert document.title == "Water cycle"
    (tmp_path / "b.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0 L 9 9"/></svg>')
    (issue,) = load(tmp_path / "b.svg")
    assert (issue.kind, issue.detail) == ("refused", "It contains no text.")
