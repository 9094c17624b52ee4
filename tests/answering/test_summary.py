"""Summaries without a model."""

from ragkit import Assistant, Index

PAGE = """---
title: Visiting the observatory
tags:
  - visitors and opening hours
redirect_from:
  - /observatory/visiting-us-in-person/
---

# Visiting

The observatory is open to visitors from April to October. Groups of more than ten people book a guide in advance.

## Getting here

The bus from the station takes twenty minutes. There is a car park below the dome.
"""


def test_summary_leaves_out_the_front_matter(tmp_path):
    page = tmp_path / "visiting.md"
    page.write_text(PAGE)
    with Index.create(tmp_path / "index") as index:
        index.add(page)
        answer = Assistant(index, model=None).ask("Summarise the page about visiting the observatory.")
    assert answer.kind == "summary"
    quotes = " ".join(citation.quote for citation in answer.citations)
    assert "open to visitors" in quotes
    assert "twenty minutes" in quotes
    assert "redirect" not in answer.text
    assert "/observatory/" not in answer.text
    assert "tags" not in answer.text
