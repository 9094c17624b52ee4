"""Which files of a folder are taken, and what is said of the others."""

import os
import shutil
import subprocess

import pytest

from ragkit.documents import LoadOptions, discover, survey
from ragkit.errors import DocumentError


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"Text of {name}.")


def taken(folder, **options):
    return [file.path.relative_to(folder).as_posix() for file in discover([folder], LoadOptions(**options))]


@pytest.fixture
def too_deep(tmp_path):
    """A folder below ``docs`` that nobody can list, root neither: its path is longer than the system allows."""
    folder = tmp_path / "docs"
    make(folder, "a.txt", "z/b.txt")
    at = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    yield folder
    shutil.rmtree(folder)


def test_unreadable_folder_is_one_issue_and_the_rest_is_found(too_deep):
    found = survey([too_deep])
    assert [file.path.name for file in found.files] == ["a.txt", "b.txt"]
    (issue,) = found.issues
    assert issue.kind == "refused"
    assert "File name too long" in issue.detail
    assert "--exclude" in issue.hint


def test_left_out_files_are_counted_by_reason(tmp_path):
    folder = tmp_path / "docs"
    make(folder, "a.txt", ".hidden.txt", ".git/config", "node_modules/x.js", "own/index.sqlite", "picture.png")
    make(tmp_path, "elsewhere/far.txt")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "linked.txt").symlink_to(tmp_path / "elsewhere" / "far.txt")
    (folder / "dead.txt").symlink_to(tmp_path / "nowhere")
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    os.mkfifo(folder / "pipe.txt")
    found = survey([folder], LoadOptions(include=("*.txt",)))
    assert [file.path.name for file in found.files] == ["a.txt", "linked.txt"]
    assert found.skipped == {
        "hidden": 2,
        "excluded": 1,
        "indexes": 1,
        "not included": 1,
        "linked folders": 1,
        "dead links": 2,
        "special files": 1,
    }
    assert not found.issues


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.html", ["index.html", "policy.html/page.html"]),
        ("policy.html/", ["policy.html/page.html", "policy.html/photo.png"]),
        ("policy.html/*", ["policy.html/page.html", "policy.html/photo.png"]),
        ("./policy.html/**", ["policy.html/page.html", "policy.html/photo.png"]),
        ("**/*.png", ["photo.png", "policy.html/photo.png"]),
        ("sub/*.md", ["sub/deep/b.md"]),
        ("deep/", ["sub/deep/b.md"]),
        ("policy.htm", []),
    ],
)
def test_include_matches_names_or_paths_of_files(tmp_path, pattern, expected):
    make(tmp_path, "index.html", "photo.png", "policy.html/page.html", "policy.html/photo.png", "sub/deep/b.md")
    assert taken(tmp_path, include=(pattern,)) == expected


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("old", ["sub/old.txt"]),
        ("old/", ["sub/old.txt"]),
        ("sub/old.txt", ["old/a.txt", "sub/old/b.txt"]),
        ("sub/old", ["old/a.txt", "sub/old.txt"]),
        ("*.txt", []),
    ],
)
def test_exclude_leaves_out_files_and_whole_folders(tmp_path, pattern, left):
    make(tmp_path, "old/a.txt", "sub/old/b.txt", "sub/old.txt")
    assert taken(tmp_path, exclude=(pattern,)) == left


IGNORED = {
    ".gitignore": "*.log\n!keep.log\nbuild/\n/only-here.txt\n# a remark\nsub/**/x.txt\n\\#odd.txt\ntrailing \r\nm/dle",
    "sub/.gitignore": "!loud.log\n*.tmp\n/here.txt\n",
    "sub/deep/.gitignore": "*\n!.gitignore\n!stay.md\n",
}
NAMES = (
    *("a.log", "keep.log", "build/out.txt", "sub/build/out.txt", "only-here.txt", "sub/only-here.txt", "sub/x.txt"),
    *("sub/deep/x.txt", "sub/loud.log", "sub/quiet.log", "sub/a.tmp", "a.tmp", "sub/here.txt", "sub/more/here.txt"),
    *("sub/deep/stay.md", "sub/deep/go.md", "#odd.txt", "trailing", "m/dle", "m/other", "sub/m/dle", "info.x"),
)


@pytest.mark.parametrize("below", [".", "sub"])
def test_gitignore_leaves_out_what_git_does(tmp_path, below):
    make(tmp_path, *NAMES)
    for name, text in IGNORED.items():
        (tmp_path / name).write_bytes(text.encode())
    git = shutil.which("git")
    if git is None:
        pytest.skip("There is no git to compare with.")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(*words):
        return subprocess.run([git, *words], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)

    run("init", "--quiet")
    (tmp_path / ".git" / "info" / "exclude").write_text("*.x\n")
    listed = run("-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard", "--", below).stdout
    expected = sorted(name for name in listed.split("\n") if name and not name.endswith(".gitignore"))
    found = survey([tmp_path / below], LoadOptions(gitignore=True))
    assert [file.path.relative_to(tmp_path).as_posix() for file in found.files] == expected
    assert found.skipped["ignored by git"] > 0
    assert len(discover([tmp_path])) == len(NAMES)


def test_missing_path_and_dead_link_are_errors(tmp_path):
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    for name in ("nowhere", "dead"):
        with pytest.raises(DocumentError, match="does not exist"):
            survey([tmp_path / name])
