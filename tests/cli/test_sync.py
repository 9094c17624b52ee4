"""``ragkit sync`` and ``add``: what they refuse, ask, leave out and say."""

import json
import os
import pty
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import docx
import numpy as np
import pytest

from ragkit.indexing.store import Store

CASES = {
    "café in two characters.txt": "On se retrouve au cafe\N{COMBINING ACUTE ACCENT}",
    "heart.md": "# Credits\n\nBaked by the village bakery with \N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}",
    "shy.txt": "Fahr\N{SOFT HYPHEN}karten\N{SOFT HYPHEN}",
    "space.txt": "The end.\N{ZERO WIDTH SPACE}",
}


@pytest.fixture
def docs(tmp_path):
    """A folder of five notes."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"Note number {number} is about harbour {number}.")
    return folder


def listed(here, cwd):
    found = json.loads(here("list", "mine", "--json", cwd=cwd).stdout)["documents"]
    return sorted(Path(one["source"]).name for one in found)


def report(here, *words, cwd, check=0):
    return json.loads(here(*words, "--index", "mine", "--json", cwd=cwd, check=check).stdout)["report"]


def test_text_with_a_dropped_last_character_is_complete(here, tmp_path):
    (tmp_path / "docs").mkdir()
    for name, text in CASES.items():
        (tmp_path / "docs" / name).write_text(text)
    assert "Complete:" in here("sync", "docs", "--index", "mine", cwd=tmp_path).stdout
    assert "No damage" in here("verify", "mine", cwd=tmp_path).stdout


def test_emptied_folder_is_an_error(here, docs, tmp_path):
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    for file in docs.iterdir():
        file.unlink()
    for words in (["sync", "docs"], ["sync", "docs", "--yes"], ["sync", "docs", "--plan"]):
        error = here(*words, "--index", "mine", cwd=tmp_path, check=1).stderr
        assert "DocumentError" in error
        assert "contains no files" in error
    docs.rmdir()
    assert "does not exist" in here("sync", "docs", "--index", "mine", cwd=tmp_path, check=1).stderr
    assert len(listed(here, tmp_path)) == 5


def test_removal_of_most_documents_needs_yes(here, docs, tmp_path):
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    for number in range(3):
        (docs / f"{number}.txt").unlink()
    error = here("sync", "docs", "--index", "mine", cwd=tmp_path, check=1).stderr
    assert "3 of the 5 files" in error
    assert "--yes" in error
    assert len(listed(here, tmp_path)) == 5
    assert report(here, "sync", "docs", "--yes", cwd=tmp_path)["removed"] == 3
    assert listed(here, tmp_path) == ["3.txt", "4.txt"]


@pytest.mark.parametrize(("said", "check", "left"), [("n\n", 1, 5), ("y\n", 0, 2)])
def test_removal_of_most_documents_is_asked_in_a_terminal(here, docs, tmp_path, said, check, left):
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    for number in range(3):
        (docs / f"{number}.txt").unlink()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, said.encode())
        done = subprocess.run(
            [sys.executable, "-m", "ragkit.cli", "sync", "docs", "--index", "mine"],
            cwd=tmp_path,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=240,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == check, done.stderr
    assert "3 of the 5 files" in done.stderr
    assert "Remove them?" in done.stderr
    assert len(listed(here, tmp_path)) == left


def as_a_person(*words, cwd, check=0):
    """Run the command without root's right to read everything."""
    command = [sys.executable, "-m", "ragkit.cli", *words]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("Root can read every folder, and there is no setpriv to do without that.")
        rights = "-dac_override,-dac_read_search"
        command = [setpriv, f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)
    assert done.returncode == check, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_folder_that_may_not_be_entered_is_one_issue_and_keeps_its_documents(here, docs, tmp_path, mode):
    lost = docs / "lost+found"
    lost.mkdir()
    for number in range(9):
        (lost / f"inside-{number}.txt").write_text(f"Inside {number}.")
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    (docs / "new.txt").write_text("A new note.")
    lost.chmod(mode)
    try:
        shown = as_a_person("sync", "docs", "--index", "mine", cwd=tmp_path, check=3)
        plan = json.loads(as_a_person("sync", "docs", "--index", "mine", "--plan", "--json", cwd=tmp_path))
    finally:
        lost.chmod(0o755)
    assert shown.count("refused:") == 1
    assert "Permission denied" in shown
    assert "Incomplete" in shown
    assert plan["delete"] == []
    assert [issue["origin"] for issue in plan["issues"]] == [str(lost)]
    names = listed(here, tmp_path)
    assert len(names) == 15
    assert {"new.txt", "inside-0.txt"} <= set(names)


def test_gitignore_and_left_out_files_are_counted(here, docs, tmp_path):
    (docs / ".gitignore").write_text("1.txt\n")
    (docs / "linked").symlink_to(tmp_path)
    (docs / "dead.txt").symlink_to(tmp_path / "nowhere")
    first = report(here, "sync", "docs", cwd=tmp_path)
    assert first["skipped"] == {"hidden": 1, "linked folders": 1, "dead links": 1}
    assert first["complete"] is True
    second = here("sync", "docs", "--gitignore", "--index", "mine", cwd=tmp_path).stdout
    assert "ignored by git: 1" in second
    assert "dead links: 1" in second
    assert "1.txt" not in listed(here, tmp_path)
    assert report(here, "add", "docs", "--gitignore", cwd=tmp_path)["added"] == 0


def test_main_text_reads_pages_again_without_what_is_around_their_text(here, docs, tmp_path):
    page = "<main><h1>Tides</h1>" + "<p>The tide comes in twice a day, and the ferry waits for it.</p>" * 9 + "</main>"
    (docs / "page.html").write_text(f"{page}<footer><p>Imprint of the harbour.</p></footer>")
    assert report(here, "sync", "docs", cwd=tmp_path)["complete"] is True
    assert report(here, "sync", "docs", cwd=tmp_path)["replaced"] == 0
    assert report(here, "sync", "docs", "--main-text", cwd=tmp_path)["replaced"] == 1


def test_comments_of_a_docx_file_are_left_out_when_asked(here, docs, tmp_path):
    document = docx.Document()
    run = document.add_paragraph("The ferry leaves at seven.").runs[0]
    document.add_comment(run, text="Is it not at eight?", author="Ann")
    document.save(str(docs / "ferry.docx"))
    assert report(here, "sync", "docs", cwd=tmp_path)["complete"] is True
    assert "at eight" in here("search", "mine", "at eight", cwd=tmp_path).stdout
    assert report(here, "sync", "docs", "--no-comments", cwd=tmp_path)["replaced"] == 1
    assert "at eight" not in here("search", "mine", "at eight", cwd=tmp_path).stdout


def test_include_takes_no_pictures_from_a_folder_with_such_a_name(here, docs, tmp_path):
    (docs / "policy.html").mkdir()
    (docs / "policy.html" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (docs / "policy.html" / "page.html").write_text("<p>The policy.</p>")
    found = report(here, "sync", "docs", "--include", "*.html", cwd=tmp_path)
    assert (found["added"], found["issues"]) == (1, [])
    assert found["skipped"] == {"not included": 6}


def test_force_reads_unchanged_files_again(here, docs, tmp_path):
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    file = docs / "0.txt"
    before = file.stat()
    file.write_text(file.read_text().replace("harbour", "airport"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert report(here, "sync", "docs", cwd=tmp_path)["replaced"] == 0
    assert report(here, "sync", "docs", "--force", cwd=tmp_path)["replaced"] == 1
    assert report(here, "add", "docs", "--force", cwd=tmp_path)["unchanged"] == 5


def test_report_shows_what_is_missing_before_mere_remarks(here, docs, tmp_path):
    for number in range(30):
        (docs / f"b-{number:02}.txt").write_bytes(f"Die Küche {number} hat eine schöne Tür.".encode("cp1252"))
    (docs / "zzz.pdf").write_bytes(b"")
    shown = here("sync", "docs", "--index", "mine", "--include", "b-*", "--include", "zzz.pdf", cwd=tmp_path, check=3)
    lines = [line.strip() for line in shown.stdout.split("\n") if "_guessed:" in line or "refused:" in line]
    assert lines[0].startswith("refused:")
    assert "zzz.pdf" in lines[0]
    assert len(lines) == 20


def test_vectors_that_differ_from_the_model_are_found_and_made_again(here, tmp_path):
    """As of a CPU whose int8 kernels saturate: the checksums are right, the vectors are not."""
    (tmp_path / "a.txt").write_text("The lighthouse was built in 1911.\n")
    (tmp_path / "b.txt").write_text("The ferry takes 40 minutes.\n")
    here("add", "a.txt", "b.txt", "--index", "mine", cwd=tmp_path)
    with closing(Store(tmp_path / "indexes" / "mine", create=False)) as store:
        model = store.state("model_id")
        (content, vector), *_ = store.rows("SELECT hash, vector FROM vectors ORDER BY hash")
        wrong = np.frombuffer(vector, dtype=np.float32) + np.float32(0.02)
        with store.transaction():
            store.put_vectors(model, [(content, wrong / np.linalg.norm(wrong))])
    told = here("verify", "mine", cwd=tmp_path, check=4).stdout
    assert "No damage" in told
    assert "1 of 2 vectors of a sample differ" in told
    assert "ragkit reembed indexes/mine default" in told.replace("\n", " ")
    here("reembed", "mine", "default", cwd=tmp_path)
    here("verify", "mine", cwd=tmp_path)
