"""DOCX: numbers, notes, boxes, tables, fields and formulas as a reader of the file sees them."""

import zipfile
from pathlib import Path

import pytest
import xlwt

from ragkit.documents import Issue, LoadOptions, load
from ragkit.records import Document

OOXML = "http://schemas.openxmlformats.org"
NAMES = {
    "w": f"{OOXML}/wordprocessingml/2006/main",
    "r": f"{OOXML}/officeDocument/2006/relationships",
    "m": f"{OOXML}/officeDocument/2006/math",
    "a": f"{OOXML}/drawingml/2006/main",
    "wp": f"{OOXML}/drawingml/2006/wordprocessingDrawing",
    "pic": f"{OOXML}/drawingml/2006/picture",
    "c": f"{OOXML}/drawingml/2006/chart",
    "mc": f"{OOXML}/markup-compatibility/2006",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
    "v": "urn:schemas-microsoft-com:vml",
}
SPACES = " ".join(f'xmlns:{prefix}="{address}"' for prefix, address in NAMES.items())
MAIN_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def p(text="", style="", properties=""):
    """A paragraph; ``text`` may be runs."""
    run = text if text.startswith("<") else f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{properties}</w:pPr>{run if text else ''}</w:p>"


def r(text):
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def listed(text, level=0, number=1):
    return p(text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def table(*rows):
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"


def tc(content, properties=""):
    inner = content if content.startswith("<") else p(content)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


def field(code, result):
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    return f"{mark.format('begin')}{code}{mark.format('separate')}{result}{mark.format('end')}"


def write(path, body, main="word/document.xml", type_=MAIN_TYPE, spaces=SPACES, **parts):
    """Write a DOCX file; ``parts`` by their kind, such as ``footnotes``, hold XML without namespaces, or are files."""
    related, types = "", ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for kind, xml in parts.items():
            name = kind.rstrip("0123456789")
            file = f"{kind}.html" if name == "aFChunk" else f"{kind}.xml"
            if isinstance(xml, Path):
                file = xml.name
                out.write(xml, f"word/{file}")
            else:
                out.writestr(f"word/{file}", xml.replace(">", f" {spaces}>", 1))
            related += f'<Relationship Id="{kind}" Type="{NAMES["r"]}/{name}" Target="{file}"/>'
        types += f'<Override PartName="/{main}" ContentType="{type_}"/>'
        kinds = f'<Default Extension="xml" ContentType="application/xml"/>{types}'
        out.writestr("[Content_Types].xml", f'<Types xmlns="{OOXML}/package/2006/content-types">{kinds}</Types>')
        relations = f'<Relationships xmlns="{OOXML}/package/2006/relationships">{{}}</Relationships>'
        root = f'<Relationship Id="main" Type="{NAMES["r"]}/officeDocument" Target="{main}"/>'
        out.writestr("_rels/.rels", relations.format(root))
        folder, _, name = main.rpartition("/")
        out.writestr(f"{folder}/_rels/{name}.rels", relations.format(related))
        out.writestr(main, f"<w:document {spaces}><w:body>{body}</w:body></w:document>")
    return path


def one(path, options=None):
    items = load(path, options)
    assert not [item for item in items if isinstance(item, Issue)], items
    (document,) = items
    assert isinstance(document, Document)
    return document


def text_of(tmp_path, body, **parts):
    return one(write(tmp_path / "a.docx", body, **parts)).text


def level(number, form, text, more=""):
    about = f'<w:start w:val="1"/><w:numFmt w:val="{form}"/>{more}<w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{number}">{about}</w:lvl>'


NUMBERING = (
    '<w:numbering><w:abstractNum w:abstractNumId="0">'
    + level(0, "decimal", "%1.")
    + level(1, "decimal", "%1.%2")
    + level(2, "lowerLetter", "(%3)")
    + '</w:abstractNum><w:abstractNum w:abstractNumId="1">'
    + level(0, "upperRoman", "Article %1", '<w:pStyle w:val="Clause"/>')
    + level(1, "bullet", "\uf0b7")
    + '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="0"/>'
    '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/></w:num></w:numbering>'
)


def test_numbers_of_lists_are_those_that_a_reader_sees(tmp_path):
    body = (
        listed("Rent")
        + listed("Due date", 1)
        + listed("by transfer", 2)
        + listed("in cash", 2)
        + listed("Deposit")
        + p("A note between the items.")
        + listed("Amount", 1)
        + listed("in euros", 2)
        + listed("Keys", 0, 2)
        + listed("Pets", 0, 2)
    )
    assert text_of(tmp_path, body, numbering=NUMBERING) == (
        "1. Rent\n\n1.1 Due date\n\n(a) by transfer\n(b) in cash\n2. Deposit\n\nA note between the items.\n\n"
        "2.1 Amount\n\n(a) in euros\n7. Keys\n8. Pets"
    )


def test_numbers_come_from_styles_and_those_that_they_are_based_on(tmp_path):
    styles = (
        '<w:styles><w:style w:type="paragraph" w:styleId="Clause"><w:name w:val="Clause"/>'
        '<w:pPr><w:numPr><w:numId w:val="3"/></w:numPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="Clause"/>'
        "</w:style></w:styles>"
    )
    body = (
        p("Scope", "Clause")
        + p("The scope.")
        + p("Term", "Own")
        + p("Not numbered", "Clause", '<w:numPr><w:numId w:val="0"/></w:numPr>')
        + listed("a point", 1, 3)
    )
    document = one(write(tmp_path / "a.docx", body, numbering=NUMBERING, styles=styles))
    assert document.text == "Article I Scope\n\nThe scope.\n\nArticle II Term\n\nNot numbered\n\n- a point"
    assert [heading.title for heading in document.headings] == ["Article I Scope", "Article II Term", "Not numbered"]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ('<w:name w:val="heading 2"/>', 2),
        ('<w:name w:val="Kop"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr>', 3),
        ('<w:name w:val="Eigene"/><w:basedOn w:val="Base"/>', 4),
        ('<w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr>', 0),
        ('<w:name w:val="Body Text"/>', 0),
    ],
    ids=["name", "outline level", "inherited", "taken out", "text"],
)
def test_headings_are_found_by_outline_level_and_inheritance(tmp_path, style, expected):
    styles = (
        f'<w:styles><w:style w:type="paragraph" w:styleId="S">{style}</w:style>'
        '<w:style w:type="paragraph" w:styleId="Base"><w:name w:val="Basis"/>'
        '<w:pPr><w:outlineLvl w:val="3"/></w:pPr></w:style></w:styles>'
    )
    document = one(write(tmp_path / "a.docx", p("The title", "S") + p("Text."), styles=styles))
    assert [heading.level for heading in document.headings] == ([expected] if expected else [])


NOTES = '<w:{0}s><w:{0} w:type="separator" w:id="-1">' + p("---") + '</w:{0}><w:{0} w:id="5">{1}</w:{0}></w:{0}s>'


def test_notes_follow_the_paragraph_that_refers_to_them(tmp_path):
    body = (
        p(r("The bridge carries 14 tonnes") + '<w:r><w:footnoteReference w:id="5"/></w:r>' + r(" when dry."))
        + table(tc("Load") + tc(p(r("9 t") + '<w:r><w:endnoteReference w:id="5"/></w:r>')))
        + p("The end.")
    )
    footnotes = NOTES.format("footnote", p("Halved after floods.") + p("See order 551."))
    endnotes = NOTES.format("endnote", p("Measured in May."))
    assert text_of(tmp_path, body, footnotes=footnotes, endnotes=endnotes) == (
        "The bridge carries 14 tonnes[1] when dry.\n\n[1] Halved after floods.\nSee order 551.\n\n"
        "| Load | 9 t[i] |\n\n[i] Measured in May.\n\nThe end."
    )


def test_comments_are_an_option(tmp_path):
    body = p(r("The price is 40 euros.") + '<w:r><w:commentReference w:id="2"/></w:r>')
    comments = f'<w:comments><w:comment w:id="2" w:author="Ann">{p("Too high?")}</w:comment></w:comments>'
    path = write(tmp_path / "a.docx", body, comments=comments)
    assert one(path).text == "The price is 40 euros.\n\nComment by Ann: Too high?"
    assert one(path, LoadOptions(comments=False)).text == "The price is 40 euros."


def test_text_boxes_are_read_once_beside_the_paragraph_they_are_anchored_in(tmp_path):
    box = f"<w:txbxContent>{p('Bring an apron.')}</w:txbxContent>"
    shape = f"<w:drawing><wp:inline><a:graphic><wps:txbx>{box}</wps:txbx></a:graphic></wp:inline></w:drawing>"
    old = f"<w:pict><v:shape><v:textbox>{box}</v:textbox></v:shape></w:pict>"
    forms = f"<mc:Choice>{shape}</mc:Choice><mc:Fallback>{old}</mc:Fallback>"
    both = f"<w:r><mc:AlternateContent>{forms}</mc:AlternateContent></w:r>"
    only_old = f"<w:r>{old.replace('apron', 'towel')}</w:r>"
    sign = '<w:r><w:pict><v:shape><v:textpath string="DRAFT"/></v:shape></w:pict></w:r>'
    assert text_of(tmp_path, p(r("Pottery is ") + both + r("fun.")) + p(only_old + r("Come at six.")) + p(sign)) == (
        "Pottery is fun.\n\nBring an apron.\n\nBring an towel.\n\nCome at six.\n\nDRAFT"
    )


def test_merged_and_irregular_cells_stand_in_their_columns(tmp_path):
    start, goes_on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    body = table(
        tc("Wing") + tc("Room") + tc("Seats"),
        tc("North", start) + tc("11") + tc("4"),
        tc("", goes_on) + tc("12 and 13", '<w:gridSpan w:val="2"/>'),
        '<w:trPr><w:gridBefore w:val="1"/></w:trPr>' + tc("14") + tc("6"),
    )
    assert text_of(tmp_path, body) == (
        "| Wing | Room | Seats |\n| North | 11 | 4 |\n| North | 12 and 13 |  |\n|  | 14 | 6 |"
    )


def test_a_cell_over_the_margin_of_other_rows_is_in_their_column(tmp_path):
    before = '<w:trPr><w:gridBefore w:val="1"/></w:trPr>'
    body = table(before + tc("a") + tc("b"), tc("c", '<w:gridSpan w:val="2"/>') + tc("d"))
    assert text_of(tmp_path, body) == "| a | b |\n| c | d |"


def test_rows_and_cells_in_content_controls_and_inner_tables_are_in_the_table(tmp_path):
    control = "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>"
    row = control.format(f"<w:tr>{tc('Flour')}{control.format(tc('412'))}</w:tr>")
    inner = table(tc("oat") + tc("rye"))
    body = f"<w:tbl><w:tr>{tc('Item')}{tc('Price')}</w:tr>{row}<w:tr>{tc(inner + p())}{tc('9')}</w:tr></w:tbl>"
    assert text_of(tmp_path, body) == "| Item | Price |\n| Flour | 412 |\n| oat rye | 9 |"


def test_a_table_that_lays_out_the_page_is_read_as_paragraphs(tmp_path):
    heading = '<w:outlineLvl w:val="0"/>'
    body = table(
        tc(p("About us", properties=heading) + p("We bake.")) + tc(p("Hours", properties=heading) + p("8 to 5."))
    )
    document = one(write(tmp_path / "a.docx", body))
    assert document.text == "About us\n\nWe bake.\n\nHours\n\n8 to 5."
    assert [heading.title for heading in document.headings] == ["About us", "Hours"]


def test_fields_show_their_result_and_not_their_code(tmp_path):
    inner = field(r("PAGE code"), r("3"))
    form = '<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{}</w:ffData></w:fldChar></w:r>'
    check = form.format("<w:checkBox><w:checked/></w:checkBox>")
    entries = '<w:result w:val="1"/><w:listEntry w:val="red"/><w:listEntry w:val="blue"/>'
    choice = form.format(f"<w:ddList>{entries}</w:ddList>")
    end = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    body = (
        p(r("See ") + field(r("IF ") + inner, r("page 3")) + r("."))
        + p(check + end + r(" paid, in ") + choice + end)
        + p('<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + r("A field without end hides nothing."))
    )
    assert text_of(tmp_path, body) == "See page 3.\n\n☒ paid, in blue\n\nA field without end hides nothing."


def test_a_paragraph_whose_end_is_deleted_goes_on_in_the_next(tmp_path):
    gone = '<w:rPr><w:del w:id="1"/></w:rPr>'
    body = p("Leave is", properties=gone) + p("26 days.") + p("", properties=gone) + p("Moved: ", properties=gone)
    assert text_of(tmp_path, body) == "Leave is 26 days.\n\nMoved:"


def m(text):
    return f"<m:r><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (f"<m:f><m:num>{m('a+b')}</m:num><m:den>{m('2a')}</m:den></m:f>", "(a+b)/(2a)"),
        (f"<m:sSup><m:e>{m('x')}</m:e><m:sup>{m('n+1')}</m:sup></m:sSup>", "x^(n+1)"),
        (f"<m:sSubSup><m:e>{m('x')}</m:e><m:sub>{m('i')}</m:sub><m:sup>{m('2')}</m:sup></m:sSubSup>", "x_i^2"),
        (f"<m:rad><m:deg>{m('3')}</m:deg><m:e>{m('y')}</m:e></m:rad>", "∛(y)"),
        (
            f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{m("i=1")}</m:sub><m:sup>{m("n")}</m:sup>'
            f"<m:e>{m('i')}</m:e></m:nary>",
            "∑_(i=1)^n i",
        ),
        (f"{m('a')}<m:func><m:fName>{m('sin')}</m:fName><m:e>{m('x')}</m:e></m:func>", "a sin x"),
        (f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr><m:e>{m("a, b")}</m:e></m:d>', "[a, b]"),
        (
            f"<m:m><m:mr><m:e>{m('1')}</m:e><m:e>{m('0')}</m:e></m:mr>"
            f"<m:mr><m:e>{m('0')}</m:e><m:e>{m('1')}</m:e></m:mr></m:m>",
            "1, 0; 0, 1",
        ),
    ],
    ids=["fraction", "power", "index", "root", "sum", "function", "brackets", "matrix"],
)
def test_formulas_are_readable_text(tmp_path, formula, expected):
    assert text_of(tmp_path, p(r("It is ") + f"<m:oMath>{formula}</m:oMath>" + r("."))) == f"It is {expected}."


def test_symbols_tabs_and_breaks(tmp_path):
    body = p(
        '<w:r><w:t>5 </w:t><w:sym w:font="Symbol" w:char="F06D"/><w:t>m</w:t><w:tab/></w:r>'
        "<w:r><w:t>one</w:t><w:br/><w:t>two</w:t></w:r>"
        "<w:r><w:t>-T</w:t><w:noBreakHyphen/><w:t>400 hy</w:t><w:softHyphen/><w:t>phen</w:t></w:r>"
        '<w:r><w:rPr><w:rFonts w:ascii="Wingdings"/></w:rPr><w:t>\uf0fc</w:t></w:r>'
        "<w:ruby><w:rt><w:r><w:t>kanji</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>漢字</w:t></w:r></w:rubyBase></w:ruby>"
    )
    assert text_of(tmp_path, body) == "5 μm\tone\ntwo-T-400 hyphen✓漢字(kanji)"


def test_headers_and_footers_that_are_shown_are_read_once_and_belong_to_no_section(tmp_path):
    def section(*names, more=""):
        references = "".join(
            f'<w:{kind}Reference w:type="{type_}" r:id="{identity}"/>' for kind, type_, identity in names
        )
        return f"<w:sectPr>{references}{more}</w:sectPr>"

    first, default = ("header", "first", "header2"), ("header", "default", "header1")
    footer = ("footer", "default", "footer1")
    body = (
        p("Scope", properties='<w:outlineLvl w:val="0"/>' + section(default, footer, first))
        + p("Text.")
        + section(default, footer)
    )
    document = one(
        write(
            tmp_path / "a.docx",
            body,
            header1=f"<w:hdr>{p('Procedure QP-0417')}</w:hdr>",
            header2=f"<w:hdr>{p('Not shown')}</w:hdr>",
            footer1=f"<w:ftr>{p('Superseded by QP-0533')}{p(field(r('PAGE'), r('2')))}</w:ftr>",
        )
    )
    assert document.text == "Procedure QP-0417\n\nScope\n\nText.\n\nSuperseded by QP-0533"
    assert [heading.title for heading in document.headings_at(document.text.index("Text"))] == ["Scope"]
    assert document.headings_at(document.text.index("Superseded")) == ()


def test_charts_and_descriptions_of_pictures_are_read(tmp_path):
    def cached(name, *values):
        points = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(values))
        return f"<c:{name}><c:cache>{points}</c:cache></c:{name}>"

    series = f"<c:ser>{cached('tx', 'Sales')}{cached('cat', 'May', 'June')}{cached('val', '4', '7')}</c:ser>"
    picture = (
        '<w:drawing><wp:inline><wp:docPr descr="A red kiln"/><a:graphic><pic:pic/></a:graphic></wp:inline></w:drawing>'
    )
    body = p('<w:r><w:drawing><wp:inline><c:chart r:id="chart"/></wp:inline></w:drawing></w:r>') + p(
        f"<w:r>{picture}</w:r>"
    )
    assert text_of(tmp_path, body, chart=f"<c:chartSpace>{series}</c:chartSpace>") == (
        "|  | Sales |\n| May | 4 |\n| June | 7 |\n\nPicture: A red kiln"
    )


def test_an_embedded_page_is_read_with_its_headings(tmp_path):
    page = "<html><body><h2>Terms</h2><p>Pay in ten days.</p></body></html>"
    document = one(
        write(tmp_path / "a.docx", p("Before.") + '<w:altChunk r:id="aFChunk"/>' + p("After."), aFChunk=page)
    )
    assert document.text == "Before.\n\nTerms\n\nPay in ten days.\n\nAfter."
    assert [(heading.title, heading.level) for heading in document.headings] == [("Terms", 2)]


def test_embedded_documents_are_read_in_their_place_and_objects_as_files(tmp_path):
    inner = write(tmp_path / "inner.docx", p("Terms", properties='<w:outlineLvl w:val="0"/>') + p("Pay in ten days."))
    (tmp_path / "inner.rtf").write_text(r"{\rtf1\ansi The valve is blue.\par}")
    (tmp_path / "inner.xyz").write_bytes(b"\0\1\2")
    book = xlwt.Workbook()
    book.add_sheet("Prices").write(0, 0, "A valve costs 12 euros.")
    book.save(str(tmp_path / "object.bin"))
    chunks = "".join(f'<w:altChunk r:id="aFChunk{number}"/>' for number in (1, 2, 3))
    path = write(
        tmp_path / "a.docx",
        p("Before.") + chunks + p("After."),
        aFChunk1=inner,
        aFChunk2=tmp_path / "inner.rtf",
        aFChunk3=tmp_path / "inner.xyz",
        oleObject=tmp_path / "object.bin",
    )
    items = load(path)
    document, sheet = sorted((each for each in items if isinstance(each, Document)), key=lambda each: each.source)
    (refused,) = (each for each in items if isinstance(each, Issue))
    assert document.text == "Before.\n\nTerms\n\nPay in ten days.\n\nThe valve is blue.\n\nAfter."
    assert [(heading.title, heading.level) for heading in document.headings] == [("Terms", 1)]
    assert sheet.source == f"{path}#object.xls"
    assert "A valve costs 12 euros." in sheet.text
    assert refused.kind == "member_refused"
    assert "inner.xyz" in refused.detail


@pytest.mark.parametrize(
    ("name", "main", "type_"),
    [
        ("a.docx", "content/main2.xml", MAIN_TYPE),
        ("a.docm", "word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml"),
        ("a.dotx", "word/document.xml", MAIN_TYPE.replace("document.main", "template.main")),
        ("a.dotm", "word/document.xml", "application/vnd.ms-word.template.macroEnabledTemplate.main+xml"),
    ],
)
def test_documents_and_templates_are_read_whatever_their_main_part_is_called(tmp_path, name, main, type_):
    assert one(write(tmp_path / name, p("The lobby is blue."), main, type_)).text == "The lobby is blue."


def test_strict_files_are_read(tmp_path):
    spaces = SPACES.replace(NAMES["w"], "http://purl.oclc.org/ooxml/wordprocessingml/main")
    body = p("Rent", properties='<w:outlineLvl w:val="0"/>') + table(tc("a") + tc("b"))
    assert one(write(tmp_path / "a.docx", body, spaces=spaces)).text == "Rent\n\n| a | b |"


def test_tables_in_tables_are_read_at_any_depth_or_reported(tmp_path):
    for depth in (20, 70, 2000):
        inner = p("The bottom.")
        for _ in range(depth):
            inner = table(tc(inner + p()) + tc("x"))
        items = load(write(tmp_path / f"{depth}.docx", p("The top.") + inner))
        text = "".join(item.text for item in items if isinstance(item, Document))
        assert "The bottom." in text or [item for item in items if isinstance(item, Issue)]
        assert ("The bottom." in text) == (depth <= 70)


def test_a_part_that_is_missing_is_named(tmp_path):
    body = p("Fourteen tonnes.") + '<w:sectPr><w:footerReference w:type="default" r:id="footer1"/></w:sectPr>'
    path = write(tmp_path / "a.docx", body, footer1=f"<w:ftr>{p('Superseded')}</w:ftr>")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "word/footer1.xml"}
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    document, issue = sorted(load(path), key=lambda item: isinstance(item, Issue))
    assert document.text == "Fourteen tonnes."
    assert (issue.kind, issue.detail) == ("text_lost", "Its part word/footer1.xml is missing.")


def test_a_document_type_is_refused(tmp_path):
    path = write(tmp_path / "a.docx", p("Text."))
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    members["word/document.xml"] = bomb + members["word/document.xml"].replace("Text.", "&b;")
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    (issue,) = load(path)
    assert "document type" in issue.detail


def test_a_damaged_part_is_named_and_the_rest_is_read(tmp_path):
    note = NOTES.format("footnote", p("Halved after floods."))
    path = write(tmp_path / "a.docx", p(r("Fourteen") + '<w:r><w:footnoteReference w:id="5"/></w:r>'), footnotes=note)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("word/footnotes.xml").header_offset + 30 + len("word/footnotes.xml")
    data[place + 20 : place + 40] = bytes(20)
    path.write_bytes(data)
    document, issue = sorted(load(path), key=lambda item: isinstance(item, Issue))
    assert document.text == "Fourteen"
    assert (issue.kind, "word/footnotes.xml" in issue.detail) == ("text_lost", True)
