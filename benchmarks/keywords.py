"""XQuAD, question to paragraph by keywords alone, in each language at hand: ragkit's analysis and tantivy's.

Run: python benchmarks/keywords.py [FOLDER]

FOLDER holds ``xquad.<language>.json`` files (google-deepmind/xquad); by default the shared data folder. The peer is
tantivy's English analyzer ``en_stem``, which ragkit used at first, for Chinese over pairs of characters.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import tantivy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit.indexing.keywords import KeywordFile, extend_keywords

DEPTH = 8
Questions = list[tuple[str, int]]


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    files = sorted(folder.glob("xquad.*.json"))
    if not files:
        sys.exit(f"skipped: {folder} holds no xquad.<language>.json (google-deepmind/xquad)")
    print(versions("tantivy"))
    print("\n| language | recall@1 | recall@8 | MRR@8 | en_stem: recall@1 | recall@8 | MRR@8 | lost | gained |")
    print("|---|---|---|---|---|---|---|---|---|")
    for file in files:
        texts, questions = read(file)
        ours, peer = ragkit_ranks(texts, questions), en_stem_ranks(texts, questions)
        pairs = list(zip(ours, peer, strict=True))
        lost, gained = sum(b <= DEPTH < a for a, b in pairs), sum(a <= DEPTH < b for a, b in pairs)
        print(f"| {file.stem[6:]} | {scores(ours)} | {scores(peer)} | {lost} | {gained} |", flush=True)


def read(file: Path) -> tuple[list[str], Questions]:
    """Return a file's paragraphs, and its questions with the number of their paragraph."""
    texts: list[str] = []
    questions: Questions = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions += [(asked["question"], len(texts)) for asked in paragraph["qas"]]
            texts.append(paragraph["context"])
    return texts, questions


def ragkit_ranks(texts: list[str], questions: Questions) -> list[int]:
    """Return the rank of each question's paragraph, from 1; ``DEPTH`` + 1 where it is not found."""
    with tempfile.TemporaryDirectory() as folder:
        extend_keywords(None, Path(folder) / "keywords", enumerate(texts))
        opened = KeywordFile(Path(folder) / "keywords")
        return [rank(opened.search(text, DEPTH)[0].tolist(), gold) for text, gold in questions]


def en_stem_ranks(texts: list[str], questions: Questions) -> list[int]:
    """Return the ranks that tantivy's English analyzer gives."""
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("key", stored=True, indexed=True)
    builder.add_text_field("text", tokenizer_name="en_stem", index_option="freq")
    index = tantivy.Index(builder.build())
    writer = index.writer(num_threads=1)
    for key, text in enumerate(texts):
        writer.add_document(tantivy.Document(key=key, text=cjk_pairs(text)))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.remove_long(40))
    analyzer = analyzer.filter(tantivy.Filter.lowercase()).filter(tantivy.Filter.stemmer("english")).build()
    ranks = []
    for text, gold in questions:
        words = dict.fromkeys(analyzer.analyze(cjk_pairs(text)))
        terms = [tantivy.Query.term_query(index.schema, "text", word, "freq") for word in words]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])
        hits = sorted((-score, searcher.doc(place)["key"][0]) for score, place in searcher.search(query, 32).hits)
        ranks.append(rank([key for _, key in hits][:DEPTH], gold))
    return ranks


def cjk_pairs(text: str) -> str:
    """Return ``text`` with runs of Chinese characters as overlapping pairs."""
    return re.sub("[\u3040-\u30ff\u3400-\u9fff]+", lambda run: f" {pairs_of(run.group())} ", text)


def pairs_of(run: str) -> str:
    """Return overlapping pairs of characters with spaces between them."""
    return " ".join(first + second for first, second in pairwise(run)) or run


def rank(keys: list[int], gold: int) -> int:
    """Return where ``gold`` stands among ``keys``."""
    return keys.index(gold) + 1 if gold in keys else DEPTH + 1


def scores(ranks: list[int]) -> str:
    """Return recall@1, recall@8 and MRR@8 as cells of the table."""
    found = [fmean(one <= depth for one in ranks) for depth in (1, DEPTH)]
    mean = fmean(1 / one if one <= DEPTH else 0.0 for one in ranks)
    return " | ".join(f"{value:.4f}" for value in (*found, mean))


if __name__ == "__main__":
    main()
