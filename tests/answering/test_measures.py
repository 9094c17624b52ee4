import pytest

from ragkit.answering.measures import measure_of, measures_in, number_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("3,200", 3200), ("18.50", 18.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("7,5", 7.5), ("1 250 000", 1250000)],
)
def test_separators_of_a_number_are_told_apart(text, value):
    assert number_of(text) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [("320 cm", "3.2 m"), ("500 g", "0.5 kg"), ("90 min", "1.5 hours"), ("2,000 kN", "2 MN"), ("1.5 kWh", "1500 Wh")],
)
def test_units_of_one_dimension_are_converted(one, other):
    first, second = measure_of(one), measure_of(other)
    assert first.dimension == second.dimension
    assert first.value == pytest.approx(second.value)


def test_currencies_are_not_converted():
    assert measure_of("$12,500.00").dimension == "USD"
    assert measure_of("12,500 euros").dimension == "EUR"


@pytest.mark.parametrize(
    ("column", "dimension"), [("Mass (kg)", "mass"), ("price_eur", "EUR"), ("Length in mm", "length"), ("Name", "")]
)
def test_unit_may_stand_in_the_name_of_the_column(column, dimension):
    assert measure_of("18.50", column).dimension == dimension


@pytest.mark.parametrize("cell", ["", "brass", "PX-1000", "12/20/24", "60-100 bpm", "+1-539-402-0259", "7:00 PM"])
def test_what_is_no_single_number_is_not_measured(cell):
    assert measure_of(cell) is None


def test_dates_are_ordered():
    assert measure_of("2024-12-05").value < measure_of("2025-01-02").value


def test_measures_of_a_sentence_have_units():
    text = "In 2024 the 12 lenses had a focal length of 3,200 millimetres."
    assert [(one.value, text[one.start : one.end]) for one in measures_in(text)] == [(3.2, "3,200 millimetres")]
