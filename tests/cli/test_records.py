"""``ragkit records export``, and ``ragkit ask --compress``."""

import json
import shutil


def test_export_writes_tables_that_table_ask_answers_from(here, sample_index, tmp_path):
    index = shutil.copytree(sample_index, tmp_path / "samples")
    shown = here("records", "export", index, "--output", "facts.sqlite", cwd=tmp_path).stdout
    assert "entities in facts.sqlite" in shown
    assert "tables: records, " in shown
    body = json.loads(here("records", "export", index, "-o", "facts.csv", "--json", cwd=tmp_path).stdout)
    assert body["records"] > 100
    question = "Which item costs the most?"
    answer = here("table", "ask", "facts.sqlite", question, "--model", "none", cwd=tmp_path).stdout
    assert answer.startswith("item: School visit; price_eur: 120")


def test_ratio_out_of_range_is_a_usage_error(here, sample_index, tmp_path):
    printed = here("ask", sample_index, "When?", "--compress", "2", "--model", "none", cwd=tmp_path, check=2)
    assert "must be > 0 and < 1, got 2" in printed.stderr
