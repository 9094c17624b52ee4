"""Spreadsheets: values as stored, headers found, long tables as rows, citations by cell range."""

import datetime
import zipfile

import openpyxl
import pytest
import xlwt

from ragkit.documents import Issue, LoadOptions, load
from ragkit.records import Document


def read(path, options=None):
    items = load(path, options)
    return [item for item in items if isinstance(item, Document)], [item for item in items if isinstance(item, Issue)]


def save(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def units(document):
    return {page.label: document.text[page.start : page.end] for page in document.pages}


def test_values_are_shown_as_stored(tmp_path):
    row = [
        *("007", "NA", "1.50", 3, 0.15, True, datetime.date(2024, 1, 5), datetime.datetime(2024, 1, 5, 9, 30)),
        *(datetime.time(9, 30), datetime.timedelta(hours=30), "two\nlines", "Ünïcode"),
    ]
    save(tmp_path / "a.xlsx", Data=[[f"c{n}" for n in range(len(row))], row])
    ((document,), issues) = read(tmp_path / "a.xlsx")
    assert "| 007 | NA | 1.50 | 3 | 0.15 | true | 2024-01-05 |" in document.text
    assert "| 2024-01-05 09:30 | 09:30:00 | 30:00:00 | two lines | Ünïcode |" in document.text
    assert not issues


def test_a_title_stands_apart_from_its_table_and_each_has_its_cells(tmp_path):
    save(tmp_path / "a.xlsx", **{"Q1 plan": [["Ducks per year"], [], [None, "Year", "Ducks"], [None, 2019, 120]]})
    ((document,), _) = read(tmp_path / "a.xlsx")
    assert units(document) == {
        "'Q1 plan'!A1": "Q1 plan\n\nDucks per year",
        "'Q1 plan'!B3:C4": "| Year | Ducks |\n| 2019 | 120 |",
    }
    assert [heading.title for heading in document.headings] == ["Q1 plan"]


def test_each_row_of_a_long_table_is_a_document_with_its_column_names(tmp_path):
    rows = [["Price list 2026"], ["Part", "Weight", "2021"], *([f"PX-{n}", n / 4, n] for n in range(1, 301))]
    save(tmp_path / "a.xlsx", Parts=rows)
    (documents, issues) = read(tmp_path / "a.xlsx")
    assert not issues
    assert len(documents) == 301
    row = documents[299]
    assert row.text == "Part: PX-300\nWeight: 75\n2021: 300"
    assert row.source.endswith("a.xlsx#Parts!A302:C302")
    assert row.unit_at(0).label == "Parts!A302:C302"
    assert (row.metadata["sheet"], row.metadata["Weight"]) == ("Parts", 75)
    assert "Price list 2026" in documents[-1].text


def test_a_long_list_without_a_header_stays_text_in_units_of_rows(tmp_path):
    save(tmp_path / "a.xlsx", Log=[[n, n * 2] for n in range(1, 131)])
    ((document,), issues) = read(tmp_path / "a.xlsx")
    assert not issues
    assert list(units(document)) == ["Log!A1:B31", "Log!A32:B81", "Log!A82:B130"]
    assert "| 130 | 260 |" in document.text


def test_hidden_sheets_are_marked_and_comments_are_read(tmp_path):
    book = save(tmp_path / "a.xlsx", Shown=[["Visible text"]], Secret=[["Hidden text"]])
    book["Secret"].sheet_state = "hidden"
    book["Shown"]["A1"].comment = openpyxl.comments.Comment("Ask the harbour office.", "Ann")
    book.save(tmp_path / "a.xlsx")
    ((document,), _) = read(tmp_path / "a.xlsx")
    assert [heading.title for heading in document.headings] == ["Shown", "Secret (hidden sheet)"]
    assert "Comment on A1: Ask the harbour office." in document.text


def test_columns_that_a_table_does_not_have_are_named(tmp_path):
    save(tmp_path / "a.xlsx", Parts=[["Part", "Weight"], *([f"PX-{n}", n] for n in range(40))])
    (documents, issues) = read(tmp_path / "a.xlsx", LoadOptions(text_columns=("Colour",)))
    assert not documents
    assert "'Colour'" in issues[0].detail
    assert issues[0].hint == "Its columns are: Part, Weight."


@pytest.mark.parametrize("size", [0.3, 0.6, 0.9])
def test_a_truncated_workbook_is_refused(tmp_path, size):
    save(tmp_path / "a.xlsx", Parts=[["Part", "Weight"]])
    data = (tmp_path / "a.xlsx").read_bytes()
    (tmp_path / "a.xlsx").write_bytes(data[: int(size * len(data))])
    (documents, issues) = read(tmp_path / "a.xlsx")
    assert not documents
    assert [issue.kind for issue in issues] == ["refused"]


def test_the_heading_of_a_sheet_belongs_to_its_own_first_unit(tmp_path):
    save(tmp_path / "a.xlsx", First=[["a", "b"], ["x", "y"]], Second=[["c", "d"], ["z", "w"]])
    ((document,), _) = read(tmp_path / "a.xlsx")
    assert document.unit_at(document.text.index("Second")).label == "Second!A1:B2"
    assert document.unit_at(0).label == "First!A1:B2"


def mark_hidden(path):
    """A workbook with an error in each of its two lower rows, the last row and the second column hidden."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Stock"
    for row in (["Part", "Weight"], ["PX-1", 3], ["PX-2", "#N/A"], ["#DIV/0!", 7]):
        sheet.append(row)
    for cell in ("B3", "A4"):
        sheet[cell].data_type = "e"
    sheet.row_dimensions[4].hidden = True
    sheet.column_dimensions["B"].hidden = True
    book.save(path)


def test_errors_are_shown_and_hidden_rows_and_columns_are_marked_in_xlsx(tmp_path):
    mark_hidden(tmp_path / "a.xlsx")
    ((document,), issues) = read(tmp_path / "a.xlsx")
    assert not issues
    assert document.text == (
        "Stock\n\nHidden columns: B\n\n| Part | Weight |\n| PX-1 | 3 |\n| PX-2 | #N/A |\n| #DIV/0! | 7 | (hidden row)"
    )


def test_errors_and_hidden_parts_of_a_long_table_are_in_its_rows(tmp_path):
    book = save(tmp_path / "a.xlsx", Parts=[["Part", "Weight"], *([f"PX-{n}", n] for n in range(40))])
    sheet = book["Parts"]
    sheet["B5"] = "#REF!"
    sheet["B5"].data_type = "e"
    sheet.row_dimensions[6].hidden = True
    sheet.column_dimensions["B"].hidden = True
    book.save(tmp_path / "a.xlsx")
    (documents, issues) = read(tmp_path / "a.xlsx")
    assert not issues
    assert documents[3].text == "Part: PX-3\nWeight: #REF!"
    assert documents[4].metadata["hidden_row"] is True
    assert "hidden_row" not in documents[3].metadata
    assert documents[3].metadata["hidden_columns"] == "Weight"


def test_xls_errors_hidden_parts_and_number_of_cells(tmp_path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("Stock")
    for row, values in enumerate((("Part", "Weight"), ("PX-1", 3), ("PX-2", 2.5))):
        for column, value in enumerate(values):
            sheet.write(row, column, value)
    sheet.row(3).set_cell_text(0, "PX-3")
    sheet.row(3).set_cell_error(1, 42)
    sheet.row(1).hidden = True
    sheet.col(1).hidden = True
    book.add_sheet("Empty")
    book.save(str(tmp_path / "a.xls"))
    ((document,), issues) = read(tmp_path / "a.xls")
    assert not issues
    assert document.text == (
        "Stock\n\nHidden columns: B\n\n| Part | Weight |\n| PX-1 | 3 | (hidden row)\n| PX-2 | 2.5 |\n| PX-3 | #N/A |"
    )


def test_ods_errors_comments_shapes_and_hidden_parts(tmp_path):
    names = ("office", "text", "table")
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names)
    calc = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'

    def cell(text, kind="string", more="", before=""):
        shown = f"<text:p>{text}</text:p>"
        return f'<table:table-cell office:value-type="{kind}" {more}>{before}{shown}</table:table-cell>'

    note = "<office:annotation><text:p>Ask Ann.</text:p></office:annotation>"
    error = cell("#DIV/0!", more='office:string-value="" calcext:value-type="error"')
    content = (
        f'<office:document-content {spaces} {calc}><office:body><office:spreadsheet><table:table table:name="Stock">'
        '<table:table-column/><table:table-column table:visibility="collapse"/>'
        f"<table:table-row>{cell('Part', before=note)}{cell('Weight')}</table:table-row>"
        f'<table:table-row table:visibility="filter">{cell("PX-1")}{error}</table:table-row>'
        '<table:table-row table:number-rows-repeated="1048574"><table:table-cell/></table:table-row>'
        "<table:shapes><text:p>A drawn label.</text:p></table:shapes>"
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    ((document,), issues) = read(tmp_path / "a.ods")
    assert not issues
    assert document.text == (
        "Stock\n\nHidden columns: B\n\n| Part | Weight |\n| PX-1 | #DIV/0! | (hidden row)\n\n"
        "Comment: Ask Ann.\n\nA drawn label."
    )


def test_cells_that_are_not_read_are_reported(tmp_path):
    save(tmp_path / "a.xlsx", Stock=[["Part", "Weight"], ["PX-1", 3]])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    # Cells outside of rows, which no reader of spreadsheets expects.
    lost = b"".join(b'<c r="A%d"><v>%d</v></c>' % (n, n) for n in range(10, 30))
    members["xl/worksheets/sheet1.xml"] = sheet.replace(b"</worksheet>", lost + b"</worksheet>")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    (_, issues) = read(tmp_path / "a.xlsx")
    assert [issue.detail for issue in issues] == ["20 of 24 cells were not read."]
