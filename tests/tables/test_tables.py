"""Tables of files, documents and databases, asked in words and by SQL: results, citations, refusals and limits."""

import asyncio
import shutil
import sqlite3

import pytest

from ragkit import Index
from ragkit.documents import load
from ragkit.errors import QueryError
from ragkit.models import GenerationOptions, ScriptedModel, complete
from ragkit.records import Document, Message
from ragkit.tables import QueryLimits, TableOptions, open_tables
from ragkit.tables.coverage import best_coverage
from ragkit.tables.grammar import schema_grammar
from ragkit.tables.scopes import scopes_of
from ragkit.tables.values import typed, visible
from tests.conftest import SAMPLES
from tests.tables.conftest import LIBRARY

MACHINES = """machine,mass,bought,price,depot
Loader L3,"2,400 kg",14.03.2019,"€48,000",North
Crane K9,11.5 t,02.11.2021,"€215,500",South
Roller R1,900 kg,30.06.2020,"€17,250",North
Drill D7,n/a,21.01.2022,"€3,999.50",North
"""


@pytest.fixture
def machines(tmp_path):
    path = tmp_path / "machines.csv"
    path.write_text(MACHINES, encoding="utf-8")
    with open_tables(path) as tables:
        yield tables


@pytest.mark.parametrize(
    ("title", "cells", "kind", "unit", "values"),
    [
        ("mass", ["2,400 kg", "900 kg", "11.5 t"], "number", "kg", (2400, 900, 11500)),
        ("Billable time", ["32 hours (80% of 40 hours)", "6.5 hours", ""], "number", "hours", (32, 6.5, None)),
        ("visitors", ["7,410", "11,920", "n/a", "8"], "number", "", (7410, 11920, None, 8)),
        ("day", ["14.03.2019", "2 Nov 2021", "June 30, 2020"], "date", "", ("2019-03-14", "2021-11-02", "2020-06-30")),
        ("day", ["03/04/2020", "05/06/2021"], "text", "", ("03/04/2020", "05/06/2021")),
        ("day", ["25/04/2020", "05/06/2021"], "date", "", ("2020-04-25", "2021-06-05")),
        ("phone", ["0043 12", "0049 30"], "text", "", ("0043 12", "0049 30")),
        ("version", ["16.10", "17.04", "17.10", "18.04 LTS"], "text", "", ("16.10", "17.04", "17.10", "18.04 LTS")),
        ("timeline", ["1-2 days", "Up to 7 days", "n/a"], "text", "", ("1-2 days", "Up to 7 days", "n/a")),
        ("who", ["[Ada](https://a.example/x)", "`Bo`"], "text", "", ("Ada", "Bo")),
    ],
)
def test_columns_are_typed_by_their_cells(title, cells, kind, unit, values):
    column = typed(title, cells)
    assert (column.kind, column.unit, column.values) == (kind, unit, values)


def test_visible_text_keeps_addresses_and_names_with_underscores():
    assert (
        visible("see <https://a.example> and snake_case_name<sup>1</sup>")
        == "see <https://a.example> and snake_case_name"
    )


def test_numbers_with_units_are_compared_and_shown_as_written(machines, tmp_path):
    answer = machines.ask("Which machine is the heaviest?")
    assert answer.rows == (("Crane K9", "11.5 t"),)
    documents = {item.id: item for item in load(tmp_path / "machines.csv") if isinstance(item, Document)}
    assert [citation.quote for citation in answer.citations] == ["Crane K9", "11.5 t"]
    for citation in answer.citations:
        assert documents[citation.document_id].text[citation.start : citation.end] == citation.quote


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the total price of the machines in the North depot?", ((69249.5,),)),
        ("Which machines cost more than 20,000 euros?", (("Loader L3",), ("Crane K9",))),
        ("Which machines weigh less than 2 t?", (("Roller R1",),)),
        ("How many machines were bought after 2020?", ((2,),)),
        ("What are the two cheapest machines?", (("Drill D7", "€3,999.50"), ("Roller R1", "€17,250"))),
        ("How many machines are there per depot?", (("North", 3), ("South", 1))),
        ("How much more does the Crane K9 cost than the Loader L3?", ((167500,),)),
    ],
)
def test_questions_of_several_kinds(machines, question, rows):
    answer = machines.ask(question)
    assert answer.answered, answer.text
    assert answer.rows == rows, answer.sql


@pytest.mark.parametrize("question", ["How many tickets are there?", "What are the three cheapest tickets?"])
def test_word_for_the_rows_is_not_one_value(question):
    with open_tables(SAMPLES / "prices.csv") as tables:
        assert not tables.ask(question).answered
        assert tables.ask("How much is the family ticket?").rows[0][:2] == ("Family ticket", "46.00")


STAFF = """Name,Department,Salary,Start date,Country
Ana Ruiz,Engineering,"$91,000",2019-05-01,Spain
Bob Stone,Engineering,"$85,500",2021-02-15,USA
Chen Li,Sales,"$64,000",2018-11-20,China
Dora Meyer,Sales,"$71,250",2022-07-01,Germany
Eve Adams,Support,"$52,000",2020-01-10,USA
"""


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Which department has the highest average salary?", (("Engineering", 88250),)),
        ("Who has the second highest salary?", (("Bob Stone", "$85,500"),)),
        ("Which department has the fewest employees?", (("Support", 1),)),
        ("Who is the newest employee?", (("Dora Meyer", "2022-07-01"),)),
        ("How many countries are there?", ((4,),)),
        ("How many employees work in Engineering?", ((2,),)),
        ("How many salaries are above $70,000?", ((3,),)),
        ("What is the sum of all salaries?", ((363750,),)),
        ("What is the bonus of Ana Ruiz?", ()),
        ("Who works in Marketing?", ()),
        # No column is named; "earns", "pay" and "wage" mean the salary.
        ("Who earns the most?", (("Ana Ruiz", "$91,000"),)),
        ("What is the average pay?", ((72750,),)),
        ("Who earns more than $75,000?", (("Ana Ruiz",), ("Bob Stone",))),
        ("Who is the tallest?", ()),
        ("Which employee is best paid?", ()),
    ],
)
def test_questions_on_a_table_of_persons(tmp_path, question, rows):
    (tmp_path / "staff.csv").write_text(STAFF)
    with open_tables(tmp_path / "staff.csv") as tables:
        answer = tables.ask(question)
    assert answer.rows == rows, answer.sql


@pytest.mark.parametrize(
    "question",
    [
        "What does the Loader L8 cost?",
        "Which driver uses the crane?",
        "How many machines are there in the East depot?",
        "What is the insurance number of the roller?",
    ],
)
def test_question_that_no_query_fits_is_refused(machines, question):
    answer = machines.ask(question)
    assert not answer.answered
    assert (answer.sql, answer.rows, answer.citations) == ("", (), ())


def test_tables_of_documents_and_of_an_index_are_the_same(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "index")
    question = "Which quarter had the fewest visitors?"
    with open_tables(SAMPLES) as files, Index.open(tmp_path / "index") as index, open_tables(index) as indexed:
        answers = [tables.ask(question) for tables in (files, indexed)]
        report = index.document(answers[1].citations[0].document_id)
    assert [answer.rows for answer in answers] == [(("first", "7,410"),)] * 2
    for citation in answers[1].citations:
        assert report.text[citation.start : citation.end] == citation.quote


def test_spreadsheet_rows_have_dates_and_numbers(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Trips"
    book.active.append(["trip", "distance (km)", "country"])
    for number in range(1, 41):
        book.active.append([f"Trip {number}", number * 12.5, "Peru" if number % 4 else "Chile"])
    book.save(tmp_path / "trips.xlsx")
    with open_tables(tmp_path / "trips.xlsx") as tables:
        assert [(column.name, column.kind, column.unit) for column in tables.tables[0].columns] == [
            ("trip", "text", ""),
            ("distance_km", "number", "km"),
            ("country", "text", ""),
        ]
        assert tables.ask("How many trips are in Chile?").rows == ((10,),)
        assert tables.ask("What is the longest distance?").rows == (("Trip 40", "500"),)


def test_database_is_joined_along_its_foreign_key(library):
    with open_tables(library) as tables:
        loans = tables.ask("How many loans were there in Bergen?")
        fines = tables.ask("What is the total fine of Ada Lund?")
        most = tables.ask("Which branch had the most loans?")
        seats = tables.ask("Which branch has the most seats?")
    assert most.rows == (("Harbour Library", 2),)
    assert seats.rows == (("Harbour Library", "40"),) and "JOIN" not in seats.sql
    assert "JOIN branch ON loan.branch_id = branch.id" in loans.sql
    assert loans.rows == ((3,),)
    assert fines.rows == ((3,),)
    assert {(citation.table, citation.row) for citation in fines.citations} == {("loan", "10"), ("loan", "12")}


def test_postgres_database_gives_the_same_answers(postgres):
    import asyncpg

    async def fill():
        connection = await asyncpg.connect(postgres)
        await connection.execute("CREATE SCHEMA IF NOT EXISTS library; SET search_path = library;" + LIBRARY)
        await connection.close()

    asyncio.run(fill())
    address = f"{postgres}{'&' if '?' in postgres else '?'}search_path=library"
    with open_tables(address) as tables:
        assert [table.name for table in tables.tables] == ["branch", "loan", "secret_note"]
        assert tables.ask("How many loans were there in Bergen?").rows == ((3,),)
        highest = tables.ask("Which reader had the highest fine?")
        assert highest.rows == (("Bo Vik", "12.50"),) or highest.rows == (("Bo Vik", "12.5"),)
        assert highest.citations[0].row == "11"
        assert tables.ask("How many loans were lent in 2024?").rows == ((3,),)
        with pytest.raises(QueryError, match="pg_sleep"):
            tables.run("SELECT pg_sleep(10)")
        with pytest.raises(QueryError, match="stopped after"):
            tables.run(
                "SELECT COUNT(*) FROM loan a, loan b, loan c, loan d, loan e, loan f, loan g, loan h, loan i, loan j, "
                "loan k, loan l, loan m, loan n WHERE a.days + n.days < b.days * c.days + m.days",
                QueryLimits(seconds=0.2),
            )
        with pytest.raises(QueryError, match="read-only"):
            tables.database.run("INSERT INTO secret_note VALUES (2, 'y')", QueryLimits())


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM loan",
        "SELECT 1; DROP TABLE loan",
        "SELECT name FROM sqlite_master",
        "SELECT load_extension('x')",
        "ATTACH DATABASE 'other.db' AS other",
        "WITH loan AS (SELECT 1) SELECT * FROM loan",
        "SELECT password FROM loan",
        "SELECT * FROM pragma_table_info('loan')",
        "SELECT COUNT(*) FROM missing",
        "PRAGMA journal_mode = DELETE",
        "UPDATE loan SET days = 0",
        "SELECT zeroblob(1000000000)",
        "not sql at all",
    ],
)
def test_only_reading_statements_on_known_tables_run(library, sql):
    with open_tables(library) as tables:
        with pytest.raises(QueryError):
            tables.run(sql)
        # The protection of the database itself holds without the check too.
        if not sql.startswith(("SELECT 1", "WITH", "not")):
            with pytest.raises(QueryError):
                tables.database.run(sql, QueryLimits())
    assert sqlite3.connect(library).execute("SELECT sum(days) FROM loan").fetchone() == (77,)


def test_limits_of_rows_and_time(library):
    with open_tables(library) as tables:
        cut = tables.run("SELECT a.reader, a.days, a.lent FROM loan a, loan b", QueryLimits(rows=5, citations=3))
        assert (len(cut.rows.rows), cut.rows.cut, len(cut.citations)) == (5, True, 3)
        assert cut.notes == ("Only the first 3 cells are cited.", "Only the first 5 rows are shown.")
        with pytest.raises(QueryError, match="stopped after"):
            tables.run(
                "SELECT COUNT(*) FROM loan a, loan b, loan c, loan d, loan e, loan f, loan g, loan h, loan i, loan j, "
                "loan k, loan l, loan m, loan n WHERE a.days + n.days < b.days * c.days + m.days",
                QueryLimits(seconds=0.2),
            )


def test_api_model_writes_sql_and_corrects_it_after_an_error(library):
    model = ScriptedModel(["SELECT name FROM branches", "```sql\nSELECT city FROM branch WHERE seats = 25;\n```"])
    with open_tables(library) as tables:
        answer = tables.ask("In which municipality is the branch with 25 seats?", model)
    assert (answer.method, answer.rows) == ("generated", (("Tromsø",),))


@pytest.mark.parametrize("reply", ["NONE", "DROP TABLE loan", "SELECT note FROM secret_note"])
def test_query_of_a_model_that_does_not_fit_is_refused(library, reply):
    with open_tables(library) as tables:
        answer = tables.ask("Who directed the film Vertigo?", ScriptedModel(reply))
    assert not answer.answered
    assert sqlite3.connect(library).execute("SELECT count(*) FROM loan").fetchone() == (4,)


def test_local_model_writes_only_valid_queries_and_chooses_among_close_ones(library, smollm2):
    question = "How long did Bo Vik keep the book, which had 35 days?"
    with open_tables(library) as tables:
        scopes = scopes_of(tables.tables, "sqlite")
        grammar = schema_grammar(question, scopes)
        messages = [Message("user", f"Write an SQL query. {question}")]
        sql = complete(smollm2, messages, GenerationOptions(max_tokens=120, grammar=grammar)).text
        assert sql == "NONE" or tables.run(sql).rows.columns
        assert best_coverage("Who directed the film Vertigo?", scopes) == 0
        assert not tables.ask("Who directed the film Vertigo?", smollm2).answered
        chosen = tables.ask("How many days did Bo Vik have?", smollm2, TableOptions(margin=0.3))
    assert chosen.method == "choice"
    assert chosen.sql in chosen.candidates


def test_target_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(QueryError, match="missing"):
        open_tables(tmp_path / "missing.csv")


STREETS = """Größe (m);Straße;城市
12,5;Hauptstraße;北京
30;"O'Hara; DROP TABLE streets <<<z>>>";上海
7,25;Seeweg;深圳
"""


def test_names_in_other_scripts_and_cells_that_look_like_sql(tmp_path):
    (tmp_path / "streets.csv").write_text(STREETS, encoding="utf-8")
    street = "O'Hara; DROP TABLE streets <<<z>>>"
    with open_tables(tmp_path / "streets.csv") as tables:
        assert [column.name for column in tables.tables[0].columns] == ["grosse_m", "strasse", "城市"]
        assert tables.ask("What is the highest Größe?").rows == ((street, "30"),)
        assert tables.ask(f"What is the 城市 of {street}?").rows[0][-1] == "上海"
