"""A citation means support: what entails a sentence, what contradicts it, and what says nothing about it."""

import json
from pathlib import Path

import pytest

from ragkit import Assistant
from ragkit.answering.support import ComposedVerifier, CrossEncoderVerifier, Support, SupportVerifier
from ragkit.answering.support.cross_encoder import label_order
from ragkit.answering.support.sentence import is_fragment, parse
from ragkit.errors import SettingsError
from ragkit.models.scripted import ScriptedModel

BOX = "The first-aid box hangs beside the ticket desk."
BUS = "The last bus leaves at 22:10."
LEAVE = "You can carry over a maximum of 240 annual leave hours, from one leave year to the next."


@pytest.fixture(scope="module")
def verifier(samples):
    return ComposedVerifier(samples.embedder)


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        (BOX, BOX),
        ("The first-aid box hangs beside the ticket desk", f"Visiting. {BOX}"),
        ("Tickets cost 12 euros.", "A ticket is €12."),
        ("At most 240 hours of annual leave can be carried over to the next leave year.", LEAVE),
        ("The request is approved by your supervisor.", "Your supervisor approves the request."),
        ("Wait three days.", "Wait 3 days."),
        ("You are not allowed to smoke in the dome.", "Smoking in the dome is prohibited."),
        ("PPL must be used within a year.", "Paid parental leave must be used within one year."),
        ("The gallery closed on 25 February 2010.", "The gallery closed 25 February 2010, which was controversial."),
    ],
)
def test_support_of_the_same_in_other_words(verifier, claim, evidence):
    (support,) = verifier.verify([(claim, evidence)])
    assert support.supported, support


@pytest.mark.parametrize(
    ("kind", "claim", "evidence"),
    [
        ("negation", "The dome is not heated.", "The dome is heated."),
        ("negation", "You must submit the form.", "You must not submit the form."),
        ("antonym", "The observatory is open on Mondays", "The observatory is closed on Mondays."),
        ("antonym", "The leave is unpaid.", "The leave is paid."),
        ("number", "The last bus leaves at 23:10", BUS),
        ("number", "You can carry over 280 annual leave hours.", LEAVE),
        ("unit", "The tour takes 90 hours.", "The tour takes 90 minutes."),
        ("counted", "You can carry over a maximum of 240 sick leave hours.", LEAVE),
        ("name", "Toghrul met Kublai at the fort.", "Toghrul met Jamukha at the fort."),
        ("place", "The plague reached Paris in 1665.", "The plague reached London in 1665."),
        ("time", "The gallery closed in March 2010.", "The gallery closed in February 2010."),
        ("time", "Sign the form after the tour.", "Sign the form before the tour."),
        ("quantifier", "All visitors get a guide.", "Some visitors get a guide."),
        ("bound", "Book at most three days ahead.", "Book at least three days ahead."),
        ("role", "Trent learned of Washington's retreat.", "Washington learned of Trent's retreat."),
        ("number", "You may bring one guest.", "Members may bring three guests free of charge."),
        ("number", "Visitors can bring two dogs.", "Each visitor may bring one dog."),
    ],
)
def test_contradiction_is_told_as_such_with_its_reason(verifier, kind, claim, evidence):
    (support,) = verifier.verify([(claim, evidence)])
    assert not support.supported, (kind, support)
    assert support.is_contradicted, (kind, support)
    assert support.reasons


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("The first-aid box is on the moon.", BOX),
        ("The ticket desk sells coffee and cake.", BOX),
        ("Parking is free.", BUS),
        ("The bus is green.", BUS),
        ("The pier is old.", "The pier was built by a shipyard."),
        ("240 annual leave hours.", LEAVE),
        ("Getting here", "Getting here. The last bus leaves at 22:10."),
        ("When does the last bus leave?", BUS),
        ("The last bus leaves at the", "The last bus leaves at the gate."),
        ("The last bus leaves at 22:10.", "Does the last bus leave at 22:10?"),
    ],
)
def test_no_support_of_what_the_evidence_does_not_say(verifier, claim, evidence):
    (support,) = verifier.verify([(claim, evidence)])
    assert not support.supported, support


def test_every_sample_sentence_supports_itself(samples, verifier):
    from ragkit.chunking import sentence_spans

    document = samples.document(next(iter(samples.documents())).id)
    whole = [document.text[start:end] for start, end in sentence_spans(document.text)]
    whole = [sentence for sentence in whole if not is_fragment(sentence)]
    assert whole
    verdicts = verifier.verify([(sentence, sentence) for sentence in whole])
    assert [s for s, verdict in zip(whole, verdicts, strict=True) if not verdict.supported] == []


def test_verifier_without_embedder_judges_by_its_lists():
    supports = ComposedVerifier().verify([("The box is open.", "The box is closed."), (BOX, BOX)])
    assert [support.supported for support in supports] == [False, True]
    assert ComposedVerifier().verify([]) == []


@pytest.mark.parametrize("text", ["", "   ", "…", "x" * 20_000, "的" * 500, "not " * 2_000, "1 " * 3_000, "\x00\ud800"])
def test_any_text_gets_a_verdict(verifier, text):
    for support in verifier.verify([(text, BOX), (BOX, text)]):
        assert 0.0 <= support.entailed <= 1.0


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "weights.json").write_text('{"entailed": {}}')
    with pytest.raises(SettingsError, match="weights"):
        ComposedVerifier(weights=tmp_path / "weights.json")


def test_numbers_have_units_and_what_they_count():
    (quantity,) = parse("You can carry over a maximum of 240 annual leave hours.").numbers
    assert (quantity.value, quantity.unit, quantity.bound) == (240, "hour", "<=")
    assert [q.value for q in parse("Algiers lost 30 to 50 thousand people.").numbers] == [30_000, 50_000]
    assert [q.value for q in parse("Twenty-one of 1.3 million died at 9:30 pm.").numbers] == [21, 1.3e6, 21 * 60 + 30]


# Cross-encoders.


def encoder(folder, labels):
    """A tiny NLI model with random weights: its tokenizer, configuration and shape are those of a real one."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "box", "hangs", "is", "open", "closed", "."]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    # Far from zero, so that the outputs differ.
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


PAIRS = [("the box is open .", "the box is closed ."), ("the box hangs .", "the box hangs .")]


def reorder(folder, target, labels, order):
    """The same model with its outputs in another order."""
    import shutil

    from transformers import BertForSequenceClassification

    shutil.copytree(folder, target)
    model = BertForSequenceClassification.from_pretrained(folder)
    model.classifier.weight.data = model.classifier.weight.data[order]
    model.classifier.bias.data = model.classifier.bias.data[order]
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {name: number for number, name in enumerate(labels)}
    model.save_pretrained(target)
    return target


def test_cross_encoder_reads_its_labels_in_any_order(tmp_path):
    first = encoder(tmp_path / "first", ["contradiction", "entailment", "neutral"])
    second = reorder(first, tmp_path / "second", ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"], [1, 2, 0])
    one = CrossEncoderVerifier(first, device="cpu")
    assert isinstance(one, SupportVerifier)
    verdicts, others = one.verify(PAIRS), CrossEncoderVerifier(second, device="cpu").verify(PAIRS)
    for verdict, other in zip(verdicts, others, strict=True):
        assert verdict.entailed == pytest.approx(other.entailed, abs=1e-5)
        assert verdict.contradicted == pytest.approx(other.contradicted, abs=1e-5)
        assert 0 < verdict.entailed + verdict.contradicted < 1
    assert one.verify([]) == []


def test_cross_encoder_with_one_output_gives_a_probability(tmp_path):
    verdicts = CrossEncoderVerifier(encoder(tmp_path / "one", ["score"]), device="cpu").verify(PAIRS)
    assert all(0 < verdict.entailed < 1 and verdict.contradicted == 0 for verdict in verdicts)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["contradiction", "entailment", "neutral"], (1, 0)),
        (["entailment", "not_entailment"], (0, None)),
        (["unsupported", "supported"], (1, None)),
        (["LABEL_0", "LABEL_1"], (1, None)),
        (["inconsistent", "consistent"], (1, None)),
        (["not entailed", "entailed"], (1, None)),
    ],
)
def test_label_order(labels, order):
    assert label_order(dict(enumerate(labels)), len(labels)) == order


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1", "LABEL_2"], ["positive", "negative"]])
def test_labels_that_do_not_tell_are_refused(labels):
    with pytest.raises(SettingsError, match="id2label"):
        label_order(dict(enumerate(labels)), len(labels))


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"config\.json"):
        CrossEncoderVerifier(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(SettingsError, match="can't be opened"):
        CrossEncoderVerifier(tmp_path)


# In chat.


def chat(samples, reply, **options):
    model = ScriptedModel(reply)
    return Assistant(samples, model=model, mode="chat", **options).ask("When does the last bus back leave?")


def test_chat_marks_a_contradiction(samples):
    answer = chat(samples, "The last bus back leaves at 23:40 [1].")
    assert answer.citations == ()
    assert answer.contradicted == answer.unsupported != ()
    assert "contradicted" in answer._repr_html_()


def test_chat_does_not_tell_what_is_foreign_as_contradicted(samples):
    answer = chat(samples, "Napoleon was crowned by the Pope [1].")
    assert answer.unsupported
    assert answer.contradicted == ()


def test_chat_asks_the_verifier_that_it_is_given(samples):
    class Never:
        def verify(self, pairs):
            return [Support(0.0, 0.0) for _ in pairs]

    assert chat(samples, "The last bus back leaves at 23:10 [1].").citations
    assert chat(samples, "The last bus back leaves at 23:10 [1].", verifier=Never()).citations == ()


def test_labelled_pairs_are_whole():
    path = Path(__file__).parents[2] / "benchmarks" / "data" / "support_pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) >= 200
    assert {row["label"] for row in rows} == {"entailed", "contradicted", "not_stated"}
    assert all(row["licence"] in ("CC0-1.0", "CC-BY-SA-4.0") for row in rows)
