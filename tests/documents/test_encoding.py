"""Encodings of text files."""

import pytest

from ragkit.documents import load
from ragkit.documents.encoding import decode


@pytest.mark.parametrize(
    ("encodings", "text"),
    [
        (("cp1252", "mac_roman"), "Où êtes-vous allés après la fête de Noël ? C’était près d’ici — à Orléans."),
        (("cp1252", "cp850", "cp437"), "Die Gebühr beträgt fünf Mark für größere Geräte."),
        (("cp1252",), "Le café ferme à 18 h."),
        (("cp1252",), "Opening hours of the Café are listed on the door of the house, from Monday to Friday."),
        (("cp1252",), "The so-called “night ferry” doesn’t run – price: 12 €."),
        (("cp1252",), "Copyright © 2004. Temperature 20 °C, ±2 %."),
        (("cp1252", "cp850"), "¿Dónde está el niño? Mañana cumplirá ocho años."),
        (("cp1250", "iso8859_2"), "Żółta łódź kosztuje trzysta złotych za dobę."),
        (("cp1251", "koi8_r", "cp866"), "Собрание жильцов состоится в пятницу в семь вечера."),
        (("cp1253",), "Η γρήγορη αλεπού πηδάει πάνω από το τεμπέλικο σκυλί."),
        (("cp1254",), "Şişli'de yağmur yağıyor, güneş çıkmadı."),
        (("cp1256",), "الثعلب البني السريع يقفز فوق الكلب الكسول"),
        (("cp932", "euc_jp"), "会議は毎週火曜日の午後三時に始まります。"),
        (("gb18030",), "图书馆周一闭馆。借书证工本费十元。"),
        (("big5",), "圖書館每天早上九點開門，星期一休息。"),
        (("cp949",), "도서관은 매일 아침 아홉 시에 문을 엽니다."),
    ],
)
def test_encoding_is_recognised_from_a_sentence(encodings, text):
    for encoding in encodings:
        found = decode(text.encode(encoding))
        assert found is not None
        assert (found.text, found.guessed) == (text, True), encoding


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_encoding_with_wide_characters_needs_no_byte_order_mark(encoding):
    text = "The vault opens at noon on the first Monday of the month."
    found = decode(text.encode(encoding))
    assert found is not None
    assert (found.text, found.guessed) == (text, False)


def test_encoding_is_decided_from_the_whole_file():
    text = "plain " * 100_000 + "Gebühr für Geräte"
    found = decode(text.encode("cp1252"))
    assert found is not None
    assert found.text == text


def test_nearly_valid_utf8_is_utf8_and_its_bad_bytes_are_reported(tmp_path):
    (tmp_path / "note.txt").write_bytes("Café öffnet.\nFür alle: ".encode() + b"\xff" + " größer".encode())
    issue, document = load(tmp_path / "note.txt")
    assert document.text == "Café öffnet.\nFür alle: \ufffd größer"
    assert "1 place has bytes that are not valid utf-8, the first on line 2" in issue.detail
