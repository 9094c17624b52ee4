"""Slides: reading order, tables, charts, groups, notes, descriptions and hidden slides, cited by their number."""

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Cm

from ragkit.documents import Issue, load
from ragkit.records import Document


def read(presentation, path):
    presentation.save(path)
    items = load(path)
    assert not [item for item in items if isinstance(item, Issue)]
    (document,) = items
    assert isinstance(document, Document)
    return document


@pytest.fixture
def deck():
    return pptx.Presentation()


def add(deck, title=None):
    slide = deck.slides.add_slide(deck.slide_layouts[5 if title else 6])
    if title:
        slide.shapes.title.text = title
    return slide


def box(shapes, text, left, top):
    shapes.add_textbox(Cm(left), Cm(top), Cm(5), Cm(2)).text_frame.text = text


def test_each_slide_is_a_unit_and_a_section(deck, tmp_path):
    box(add(deck, "Harbour dues").shapes, "Boats pay 12 crowns.", 2, 5)
    box(add(deck).shapes, "No title here.", 2, 5)
    document = read(deck, tmp_path / "a.pptx")
    assert [(page.label, document.text[page.start : page.end]) for page in document.pages] == [
        ("slide 1", "Harbour dues\n\nBoats pay 12 crowns."),
        ("slide 2", "No title here."),
    ]
    assert document.headings_at(document.text.index("No title")) == ()
    assert document.title == "Harbour dues"


def test_shapes_are_read_by_their_place_and_not_in_the_order_of_the_file(deck, tmp_path):
    slide = add(deck, "Title")
    box(slide.shapes, "third", 2, 10)
    box(slide.shapes, "second", 12, 5.1)
    box(slide.shapes, "first", 2, 5)
    group = slide.shapes.add_group_shape()
    box(group.shapes, "fifth", 2, 15)
    box(group.shapes, "fourth", 2, 13)
    assert read(deck, tmp_path / "a.pptx").text == "Title\n\nfirst\n\nsecond\n\nthird\n\nfourth\n\nfifth"


@pytest.mark.parametrize("kind", [XL_CHART_TYPE.COLUMN_CLUSTERED, XL_CHART_TYPE.PIE, XL_CHART_TYPE.LINE])
def test_tables_charts_notes_and_descriptions_are_read(deck, tmp_path, kind):
    slide = add(deck, "Fleet")
    table = slide.shapes.add_table(2, 2, Cm(2), Cm(4), Cm(9), Cm(2)).table
    for place, text in (((0, 0), "Boat"), ((0, 1), "Year"), ((1, 0), "Aino"), ((1, 1), "1987")):
        table.cell(*place).text = text
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Passengers", (1200, 1350.5))
    slide.shapes.add_chart(kind, Cm(2), Cm(8), Cm(9), Cm(6), data)
    slide.shapes[-1]._element.nvGraphicFramePr.cNvPr.set("descr", "Passengers rise every year")
    slide.notes_slide.notes_text_frame.text = "Thank the crew."
    text = read(deck, tmp_path / "a.pptx").text
    assert "| Boat | Year |\n| Aino | 1987 |" in text
    assert "|  | Passengers |\n| 2024 | 1200 |\n| 2025 | 1350.5 |" in text
    assert "Description: Passengers rise every year" in text
    assert text.endswith("Notes: Thank the crew.")


def test_a_hidden_slide_is_marked(deck, tmp_path):
    slide = add(deck, "Draft prices")
    slide._element.set("show", "0")
    assert read(deck, tmp_path / "a.pptx").text == "Draft prices (hidden slide)"


def test_a_kind_of_chart_that_the_library_does_not_know_is_read(deck, tmp_path):
    slide = add(deck, "Fleet")
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Passengers", (1200, 1350.5))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Cm(2), Cm(8), Cm(9), Cm(6), data).chart
    for node in chart._chartSpace.iter("{*}barChart"):
        node.tag = node.tag.replace("barChart", "bar3DChart")
    assert "| 2025 | 1350.5 |" in read(deck, tmp_path / "a.pptx").text
