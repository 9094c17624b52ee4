"""Answers from documentation that has code: its lines stay, and the Markdown of the answer is well formed."""

import pytest

from ragkit import Assistant, Document, Index
from ragkit.answering.readers import Part, Span
from ragkit.prompting import Source
from ragkit.records import Chunk, DocumentInfo, Hit, document_id

TEXT = """# Restore a backup

Stop the service, then unpack the archive:

```sh title="As the service's user"
cd /srv

tar --extract --file backup.tar \\
    --directory /srv/service
```

Start the service again. It checks the archive:

```text
3 tables restored. Is that all? Yes.
```

# Colours

The page is blue.
"""
CODE = TEXT[TEXT.index("```sh") : TEXT.index("\n\nStart")]


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("code") / "index") as index:
        key = document_id("backup.md")
        index.add(Document(key, "backup.md", "backup.md", TEXT, "Backups", key, "text/markdown"))
        yield Assistant(index, model=None)


def test_steps_hold_code_with_its_lines_below_the_step(assistant):
    answer = assistant.ask("How do I restore a backup?")
    lines = answer.reply.splitlines()
    assert lines[0] == "1. Stop the service, then unpack the archive: [1]"
    assert "\n".join(line.removeprefix("   ") for line in lines[1:7]) == CODE
    assert lines[7] == "   [2]"
    assert lines[8].startswith("2. Start the service again.")
    assert [citation.quote for citation in answer.citations][1] == CODE


def test_quote_that_introduces_code_holds_the_code(assistant):
    answer = assistant.ask("unpack the archive", kind="fact")
    assert f"unpack the archive:\n{CODE}\n[1]" in answer.reply


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Run\n  this:\n\t```\n\ta  b\n\t```\nDone.", "Run this:\n```\na  b\n```\nDone."),
        ("~~~\na\n  b", "~~~\na\n  b\n~~~"),
        ("the last\nline\n```", "the last line"),
    ],
)
def test_part_of_a_text_with_code_is_well_formed(text, shown):
    info = DocumentInfo("d" * 32, "a.md", "a.md", "A", "0", "text/markdown", {}, len(text), 0, 1)
    source = Source(1, Hit(Chunk("d" * 32, 0, 0, len(text), text, 9), info, 1.0), text, 0, len(text))
    assert Part("", Span(source, 0, len(text))).shown == shown
