"""An index with shards on the command line: created, searched and asked, and in parts."""

import json
import shutil

from tests.conftest import SAMPLES


def test_shards_are_created_searched_and_left_out(here, tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    for name in ("faq.html", "annual-report-2025.md"):
        shutil.copy(SAMPLES / name, documents)
    here("sync", documents, "--index", "manuals", "--shards", "3", cwd=tmp_path)
    index = tmp_path / "indexes" / "manuals"
    assert here("list", cwd=tmp_path).stdout.strip() == "manuals"
    assert len(list(index.glob("shard-*/index.sqlite"))) == 3
    question = ("manuals", "Which bus runs to the observatory?", "--json")
    answer = json.loads(here("ask", *question, "--model", "none", cwd=tmp_path).stdout)
    assert answer["citations"]
    assert answer["trace"]["missing_shards"] == []
    told = here("sync", documents, "--index", "manuals", "--shards", "2", "--json", cwd=tmp_path, check=1).stdout
    assert "has 3 shards, got shards=2" in told
    lost = next(folder for folder in sorted(index.glob("shard-*")) if (folder / "segments").exists())
    shutil.rmtree(lost)
    assert "--partial" in here("search", *question, cwd=tmp_path, check=4).stdout
    printed = here("search", *question, "--partial", cwd=tmp_path)
    (line,) = json.loads(printed.stdout)["missing_shards"]
    assert lost.name in line
    assert line in printed.stderr
