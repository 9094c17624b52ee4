"""Chunks: exact offsets, nothing lost, never past the window."""

import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chunking import ChunkingOptions, chunk_document, sentence_spans
from ragkit.documents.base import nest
from ragkit.embedding import locate
from ragkit.embedding.tokenizer import FastTokenizer
from ragkit.errors import SettingsError
from ragkit.records import Document, PageSpan

TOKENIZER = FastTokenizer(locate().folder / "tokenizer.json")
WORDS = st.sampled_from(
    [
        "the",
        "Straße",
        "überraschend",
        "你好世界",
        "مرحبا",
        "🎉👩‍👩‍👧",
        "a.b",
        "3,141.59",
        "\n\n",
        "\n",
        ". ",
        "!",
        "—",
        "x" * 70,
        "。",
    ]
)


def make(text, headings=(), pages=()):
    return Document("id", "s", "s", text, "Title", "0", "text/plain", {}, tuple(pages), nest(list(headings), len(text)))


def lost(document, chunks):
    """Return the characters but white space that are in no chunk, with their offsets."""
    covered = [False] * len(document.text)
    for chunk in chunks:
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    return [
        (n, c) for n, (c, is_in) in enumerate(zip(document.text, covered, strict=True)) if not (is_in or c.isspace())
    ]


def check(document, chunks, window):
    for number, chunk in enumerate(chunks):
        assert chunk.ordinal == number
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert TOKENIZER.count(chunk.embedded_text) + TOKENIZER.specials <= window
        assert chunk.section_start <= chunk.start < chunk.end <= chunk.section_end
    assert lost(document, chunks) == []


@settings(max_examples=150)
@given(st.lists(WORDS, max_size=120), st.integers(12, 80), st.integers(0, 10))
def test_chunks_are_exact_and_lose_nothing(words, window, overlap):
    document = make(" ".join(words))
    check(document, chunk_document(document, TOKENIZER, window, ChunkingOptions(overlap=overlap)), window)


@settings(max_examples=80)
@given(st.text(max_size=400), st.integers(12, 60))
def test_any_text_keeps_exact_offsets(text, window):
    text = text.encode("utf-8", "ignore").decode()
    document = make(text)
    check(document, chunk_document(document, TOKENIZER, window), window)


# Characters that tokenizers drop: accents, selectors, joiners, soft hyphens, byte order marks, controls, lone halves.
DROPPED = st.sampled_from([*"\u0301\ufe0f\u00ad\u200b\u200d\u2060\ufeff\u200f\x01\x7f\ufffd\u0e38\u064e", "\ud83d"])
MIXED = st.lists(
    st.one_of(WORDS, DROPPED, st.sampled_from([" ", "\n\n", "\u3000", "e"]), st.text(max_size=4)), max_size=60
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Tokenizers of the kinds in use: WordPiece that strips accents, byte-level BPE, NFKC with word marks."""
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("tokenizers")
    text = ["the quick brown fox, über Straße, 你好世界", "a b c d e f g"] * 20
    bytes_of = tokenizers.Tokenizer(models.BPE())
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_of.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bytes_of.train_from_iterator(text, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    marked = tokenizers.Tokenizer(models.BPE())
    marked.normalizer = normalizers.NFKC()
    marked.pre_tokenizer = pre_tokenizers.Metaspace()
    marked.train_from_iterator(text, trainers.BpeTrainer(vocab_size=60))
    made = [TOKENIZER]
    for name, one in (("bytes", bytes_of), ("marked", marked)):
        one.save(str(folder / name))
        made.append(FastTokenizer(folder / name))
    return made


@settings(max_examples=150)
@given(MIXED, st.integers(12, 60), st.integers(0, 10), st.booleans())
def test_every_character_is_in_a_chunk_whatever_the_tokenizer_drops(tokenizers, parts, window, overlap, spaced):
    document = make((" " if spaced else "").join(parts))
    options = ChunkingOptions(overlap=overlap)
    check(document, chunk_document(document, TOKENIZER, window, options), window)
    for tokenizer in tokenizers:
        assert lost(document, chunk_document(document, tokenizer, window, options)) == []


@pytest.mark.parametrize(
    "text", ["with ❤️", "cafe\u0301", "Fahr\u00adkarten\u00ad", "end\u200b", "\ufeffstart", "\u200b", " \u0301\n\u200b "]
)
def test_a_character_that_the_tokenizer_drops_is_in_the_chunk_beside_it(text):
    (chunk,) = chunk_document(make(text), TOKENIZER, 64)
    assert chunk.text == text.strip()


def test_dropped_characters_go_to_the_word_they_touch():
    words = [f"\u200fcaf{number}e\u0301" for number in range(40)]
    chunks = chunk_document(make(" ".join(words)), TOKENIZER, 20, ChunkingOptions(overlap=0))
    assert len(chunks) > 5
    assert [word for chunk in chunks for word in chunk.text.split(" ")] == words


def test_no_white_space_beyond_the_table():
    assert not any(chr(code).isspace() for code in range(0x3001, sys.maxunicode + 1))


def test_chunks_end_at_headings_and_carry_their_path():
    parts = [
        ("# Alpha\n\n" + "One two three four five. " * 8, 1),
        ("## Beta\n\n" + "Six seven eight nine ten. " * 8, 2),
    ]
    text, headings = "", []
    for part, level in parts:
        headings.append((part.split("\n")[0].lstrip("# "), level, len(text)))
        text += part + "\n\n"
    document = make(text, headings)
    chunks = chunk_document(document, TOKENIZER, 256)
    assert [chunk.heading_path for chunk in chunks] == [("Alpha",), ("Alpha", "Beta")]
    assert chunks[1].text.startswith("## Beta")
    assert chunks[1].header == "Title > Alpha > Beta"
    assert chunks[1].header not in chunks[1].text


def test_chunks_end_at_sentences_and_overlap_by_sentences():
    sentences = [f"Sentence number {number} tells of thing {number}." for number in range(60)]
    document = make(" ".join(sentences))
    chunks = chunk_document(document, TOKENIZER, 80, ChunkingOptions(overlap=16))
    assert len(chunks) > 5
    for chunk in chunks:
        assert chunk.text.startswith("Sentence")
        assert chunk.text.endswith(".")
    assert all(later.start < earlier.end for earlier, later in pairwise(chunks))


def test_pages_of_a_chunk_are_those_of_its_ends():
    first, second = "First page words. " * 30, "Second page words. " * 30
    document = make(
        f"{first}\n\n{second}",
        pages=[PageSpan(1, 0, len(first)), PageSpan(2, len(first) + 2, len(first) + 2 + len(second))],
    )
    chunks = chunk_document(document, TOKENIZER, 64)
    assert {chunk.page for chunk in chunks} == {1, 2}
    for chunk in chunks:
        assert chunk.page == document.page_at(chunk.start)
        assert chunk.last_page == document.page_at(chunk.end - 1)


def test_long_document_is_cut_in_blocks_without_a_seam():
    text = "\n\n".join(f"Paragraph {number} has a few plain words in it." for number in range(12_000))
    document = make(text)
    chunks = chunk_document(document, TOKENIZER, 256, ChunkingOptions(overlap=0))
    assert len(text) > 400_000
    assert " ".join(" ".join(chunk.text.split()) for chunk in chunks) == " ".join(text.split())


def test_empty_text_gives_no_chunks_and_a_short_one_gives_one():
    assert chunk_document(make("  \n "), TOKENIZER, 256) == []
    assert len(chunk_document(make("Short."), TOKENIZER, 256)) == 1


@pytest.mark.parametrize(("size", "overlap"), [(-1, 0), (10, 10), (10, 20)])
def test_impossible_options_are_refused(size, overlap):
    with pytest.raises(SettingsError):
        ChunkingOptions(size=size, overlap=overlap)


def test_window_without_room_is_refused():
    with pytest.raises(SettingsError, match="window of 4"):
        chunk_document(make("text"), TOKENIZER, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith came at 5 p.m. on Monday. He left.", ["Dr. Smith came at 5 p.m. on Monday.", "He left."]),
        ("It costs 3.50 euros, i.e. little. Fine.", ["It costs 3.50 euros, i.e. little.", "Fine."]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("هل أنت بخير؟ نعم.", ["هل أنت بخير؟", "نعم."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Heading\n\nBody text.", ["Heading", "Body text."]),
        (
            "4 When it fails\nError 14 means that the mount has\nlost its Marks.",
            ["4 When it fails", "Error 14 means that the mount has\nlost its Marks."],
        ),
        ("A list,\nThen a line that goes on for longer.", ["A list,\nThen a line that goes on for longer."]),
        (
            "The first line of a long\nSentence that is wrapped.",
            ["The first line of a long\nSentence that is wrapped."],
        ),
        ("", []),
    ],
)
def test_sentences_end_where_they_end(text, expected):
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


def test_sentences_of_hostile_text_take_linear_time():
    for text in ("." * 200_000, "a." * 100_000, "\n " * 100_000, '."' * 100_000):
        assert sum(end - start for start, end in sentence_spans(text)) <= len(text)


def test_window_of_thousands_of_tokens_gives_chunks_of_a_passage_unless_a_size_is_named():
    document = make("word " * 5000)
    assert max(chunk.tokens for chunk in chunk_document(document, TOKENIZER, 8192)) < 520
    chunks = chunk_document(document, TOKENIZER, 8192, ChunkingOptions(size=2000))
    assert max(chunk.tokens for chunk in chunks) > 1900


def table(rows, columns=("Part", "Diameter", "Pressure limit"), rule=True):
    lines = [" | ".join(columns), *([" | ".join("---" for _ in columns)] if rule else [])]
    lines += [f"PX-{number} | {number % 90} mm | {number / 7:.1f} bar" for number in range(1000, 1000 + rows)]
    return "\n".join(f"| {line} |" for line in lines)


@pytest.mark.parametrize("rule", [True, False])
def test_chunks_of_a_long_table_repeat_its_header_row_and_hold_complete_rows(rule):
    document = make(f"# Valves\n\nAll in store.\n\n{table(400, rule=rule)}\n\nThe end.", [("Valves", 1, 0)])
    chunks = chunk_document(document, TOKENIZER, 256)
    check(document, chunks, 256)
    assert len(chunks) > 20
    columns = "| Part | Diameter | Pressure limit |"
    assert columns in chunks[0].text and columns not in chunks[0].header
    for chunk in chunks[1:]:
        assert chunk.header == f"Title > Valves\n{columns}"
        assert chunk.text.startswith("| PX-") and chunk.text.splitlines()[-1].endswith(("bar |", "The end."))
    rows = [line for chunk in chunks for line in chunk.text.splitlines() if "PX-" in line]
    assert len(rows) == len(set(rows)) == 400


def test_chunk_after_a_table_has_no_header_row():
    document = make(f"{table(60)}\n\n" + "One two three four five. " * 120)
    last = chunk_document(document, TOKENIZER, 128)[-1]
    assert "Diameter" not in last.embedded_text


def test_very_wide_header_row_leaves_space_for_the_rows():
    names = [f"A long column name of number {number}" for number in range(80)]
    lines = [f"| {' | '.join(names)} |", *(f"| {' | '.join(f'{n}.{row}' for n in range(80))} |" for row in range(30))]
    document = make("\n".join(lines))
    chunks = chunk_document(document, TOKENIZER, 256)
    check(document, chunks, 256)
    assert "A long column name of number 0 |" in chunks[-1].header
