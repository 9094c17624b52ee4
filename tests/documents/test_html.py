"""HTML: every word that a person sees, in order, with its headings, lists and tables."""

import pytest

from ragkit.documents import Issue, LoadOptions, load


def read(tmp_path, markup, **options):
    """Return the one document of a page, which must be complete."""
    (tmp_path / "page.html").write_bytes(markup if isinstance(markup, bytes) else markup.encode())
    items = load(tmp_path / "page.html", LoadOptions(**options))
    (document,) = (item for item in items if not isinstance(item, Issue))
    assert [item for item in items if isinstance(item, Issue)] == []
    for heading in document.headings:
        assert document.text[heading.start :].startswith(heading.title.split()[0])
    return document


def headings(document):
    return [(heading.title, heading.level) for heading in document.headings]


@pytest.mark.parametrize(
    ("head", "encoding", "body"),
    [
        ("<meta charset=windows-1251>", "cp1251", "Катер до острова отходит в 9:15."),
        ('<meta http-equiv="Content-Type" content="text/html; charset=gb2312">', "gb18030", "门票每人六十元。"),
        ('<meta charset="iso-8859-1">', "cp1252", "L'entrée coûte 7 €."),
        ("<meta charset='iso-8859-1'>", "utf-8", "Die Bäckerei öffnet früh."),
        ("<meta charset='iso-8859-2'>", "iso8859_2", "Žluťoučký kůň stojí 120 korun."),
        ("<meta charset='shift_jis'>", "cp932", "窓口は午前九時に開きます。"),
        ("", "utf-16", "The lantern room is on the fifth floor."),
    ],
)
def test_html_is_in_the_encoding_it_names_unless_it_is_valid_utf8(tmp_path, head, encoding, body):
    markup = f"<html><head>{head}</head><body><p>{body}</p></body></html>"
    assert read(tmp_path, markup.encode(encoding)).text == body


def test_xhtml_is_in_the_encoding_of_its_declaration(tmp_path):
    markup = '<?xml version="1.0" encoding="ISO-8859-1"?><html><body><h2>Été</h2><p>Fermé en août.</p></body></html>'
    assert read(tmp_path, markup.encode("latin-1")).text == "Été\n\nFermé en août."


def test_html_pre_keeps_its_lines(tmp_path):
    document = read(
        tmp_path, "<p>Run:</p><pre><code>set -e\n\ngranary:\n  keep:\n    - disk1\n</code></pre><p>Done.</p>"
    )
    assert document.text == "Run:\n\nset -e\n\ngranary:\n  keep:\n    - disk1\n\nDone."


def test_html_pre_keeps_the_indentation_of_its_first_line(tmp_path):
    (tmp_path / "a.html").write_text("<p>Run</p><pre>\n\n    if ready:\n        go()\n</pre>")
    (document,) = load(tmp_path / "a.html")
    assert document.text == "Run\n\n    if ready:\n        go()"


def test_html_nested_lists_have_each_item_once_with_its_marker(tmp_path):
    markup = (
        "<ul><li>Soups<ul><li>Leek 3.20</li></ul></li><li>Mains<ol start=4><li>Peppers</li><li>Stew</li></ol></li></ul>"
        "<ol type=a><li><p>First</p><p>more of it</p></li></ol>"
    )
    assert read(tmp_path, markup).text == (
        "- Soups\n  - Leek 3.20\n- Mains\n  4. Peppers\n  5. Stew\n\na. First\n  more of it"
    )


def test_html_table_cells_keep_their_columns_and_rows(tmp_path):
    markup = (
        "<table><tr><th>Zone</th><th>Peak</th><th></th><th>Night</th></tr><tr><td>Inner</td><td>4.10</td><td></td>"
        "<td>2.20</td></tr><tr><td colspan=3>Islands</td><td>9.90</td></tr></table>"
        "<table><tr><td rowspan=2>Ferry</td><td>Mon</td></tr><tr><td>Tue<br>Wed</td></tr></table>"
    )
    assert read(tmp_path, markup).text == (
        "| Zone | Peak | Night |\n"
        "| Inner | 4.10 | 2.20 |\n| Islands |  | 9.90 |\n\n| Ferry | Mon |\n| Ferry | Tue Wed |"
    )


def test_html_layout_table_is_read_as_blocks(tmp_path):
    markup = (
        "<table><tr><td>Contact<table><tr><td>Desk</td><td>ext. 4417</td></tr><tr><td>Fax</td><td>ext. 4490</td></tr>"
        "</table></td><td>Hours<ul><li>Fri 8-13</li></ul></td></tr></table>"
    )
    assert read(tmp_path, markup).text == "Contact\n\n| Desk | ext. 4417 |\n| Fax | ext. 4490 |\n\nHours\n\n- Fri 8-13"


def test_html_keeps_what_is_outside_of_the_main_text(tmp_path):
    markup = (
        "<body><nav><a href=#>Home</a> <a href=#>Boats</a></nav><main><h1>River</h1><details><summary>A dog?</summary>"
        "<p>On deck.</p></details><dl><dt>Deposit<dd>150 EUR</dl></main><div style='display:none'>Winter tab.</div>"
        "<aside>Night line: 555-0142.</aside><footer>Quay 9, charity 300817.</footer>Loose<br>words"
        "<script>no()</script><noscript>Enable scripts.</noscript><template>no</template></body>"
    )
    text = read(tmp_path, markup).text
    assert text == (
        "River\n\nA dog?\n\nOn deck.\n\nDeposit\n\n150 EUR\n\nWinter tab.\n\nNight line: 555-0142.\n\n"
        "Quay 9, charity 300817.\n\nLoose\nwords"
    )


def test_html_form_values_and_alternative_texts_are_read(tmp_path):
    markup = (
        "<form><label>Name <input value='Ida'></label><input type=checkbox checked> yes<input type=hidden value=token>"
        "<select><option>up to 8<option>9 to 24</select><textarea>a\nb</textarea><button>Send</button>now</form>"
        "<p><img src=x alt='A red boat'>at sea</p>"
    )
    assert read(tmp_path, markup).text == (
        "Name Ida [x] yes\nup to 8\n9 to 24\n\na\nb\n\nSend now\n\nA red boat at sea"
    )


def test_html_invisible_hyphens_and_link_signs_go(tmp_path):
    markup = (
        "<h2>Fahr&shy;karten<a class=headerlink href='#f'>¶</a></h2>"
        "<p>12&#8239;&euro; f&uuml;r Er&shy;wachsene&#8203;.</p>"
    )
    document = read(tmp_path, markup)
    assert document.text == "Fahrkarten\n\n12 € für Erwachsene."
    assert headings(document) == [("Fahrkarten", 2)]


def test_html_keeps_70_sections_whatever_their_ids(tmp_path):
    names = ["author", "related", "comments", "share", "widget", "signup", "banner", "newsletter", "footer", "header"]
    sections = [
        f"<section id='{names[n % 10]}' class='{names[n % 10]}'><h2>Section {n}</h2><p>Form F-{7000 + n}.</p></section>"
        for n in range(70)
    ]
    document = read(tmp_path, f"<div class=body><h1>Handbook</h1>{''.join(sections)}</div>")
    assert headings(document) == [("Handbook", 1), *((f"Section {n}", 2) for n in range(70))]
    assert all(f"Form F-{7000 + n}." in document.text for n in range(70))


def test_html_headings_of_docbook_have_the_depth_of_their_sections(tmp_path):
    def title(level, text):
        return f"<div class='titlepage'><div><h{level} class='title'><a name='x'></a>{text}</h{level}></div></div>"

    markup = (
        "<div class='navheader'><table><tr><td>Pump guide</td><td><a accesskey='n' href='b'>Next</a></td></tr></table>"
        "</div>"
        f"<div class='book'>{title(1, 'Pump guide')}<div class='chapter'>{title(1, '1. Starting')}<p>Open it.</p>"
        f"<div class='section'>{title(2, '1.1. Cold')}<p>Heat it.</p></div></div>"
        f"<div class='chapter'>{title(1, '2. Stopping')}<p>Shut it.</p></div></div>"
    )
    document = read(tmp_path, markup)
    assert headings(document) == [("Pump guide", 1), ("1. Starting", 2), ("1.1. Cold", 3), ("2. Stopping", 2)]
    assert document.text.startswith("Pump guide\n\n1. Starting")


def test_html_bars_of_texinfo_and_sphinx_go(tmp_path):
    markup = (
        "<div class='related' role='navigation'><h3>Navigation</h3><ul><li><a href='i'>The index of all things</a></li>"
        "<li><a href='n'>The next chapter</a></li></ul></div><div class='header'><p>Next: <a href='b' rel='next'>Second"
        "</a>, Previous: <a href='a' rel='prev'>Zeroth</a>, Up: <a href='t' rel='up'>Top</a></p></div>"
        "<h3 class='section'>1.1 First</h3><p>Text.</p>"
    )
    assert read(tmp_path, markup).text == "1.1 First\n\nText."


def test_html_page_of_links_alone_keeps_them(tmp_path):
    assert read(tmp_path, "<body><nav><a href=a>Alpha</a> <a href=b>Beta</a></nav></body>").text == "Alpha Beta"


def test_html_nested_deeply_is_read_or_reported(tmp_path):
    assert read(tmp_path, "<div><b>" * 900 + "Deep.").text == "Deep."
    (tmp_path / "deeper.html").write_text("<p>First.</p>" + "<div><b>" * 3000 + "Deep.")
    issue, document = load(tmp_path / "deeper.html")
    assert issue.kind == "text_lost"
    assert document.text == "First."


def test_html_spans_of_thousands_do_not_multiply_the_text(tmp_path):
    rows = "<tr><td colspan=9999 rowspan=9999>x</td><td>y</td></tr>" * 300
    assert len(read(tmp_path, f"<table>{rows}</table>").text) < 2_000_000


def test_footer_of_a_page_is_in_no_section(tmp_path):
    (tmp_path / "faq.html").write_text(
        "<body><h1>Questions</h1><h2>Who founded it?</h2><p>Ilse Marrow did.</p>"
        "<footer><p>Lumen Ridge Trust. Imprint.</p></footer></body>"
    )
    (document,) = load(tmp_path / "faq.html")
    assert [heading.title for heading in document.headings_at(document.text.index("Ilse"))] == [
        "Questions",
        "Who founded it?",
    ]
    assert document.headings_at(document.text.index("Imprint")) == ()
