"""Detects the encoding of a text file from all of its bytes.

UTF-8 is recognised by its rules, UTF-16 and UTF-32 by their NUL bytes. Among the older encodings, the one is chosen in
which words with non-ASCII letters are most plausible: letters of its languages, in one script, lower case after lower
case. Windows-1252 is preferred if others are equally likely.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BROWSER_NAMES = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii", "iso8859-1"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "x-gbk"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601"), "cp949"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "cp1254"),
    **dict.fromkeys(("windows-874", "tis-620", "iso-8859-11"), "cp874"),
    "big5": "big5hkscs",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-user-defined": "cp1252",
}
"""Encodings named by pages, with the supersets that browsers use for them."""
_WESTERN = "äöüßéèàâçêëîïôûùñáíóúìòåæøœÿãõ"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўј"
_CANDIDATES = (
    # Encoding, lower-case letters that its languages use, handicap in points for each character.
    ("cp1252", _WESTERN, 0.0),
    ("cp1250", "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüßâăîşţôľĺŕđ", 0.02),
    ("cp1251", _CYRILLIC, 0.02),
    ("koi8_r", _CYRILLIC, 0.03),
    ("cp1253", "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ", 0.04),
    ("cp1254", "çğıöşüâîû", 0.05),
    ("cp1255", "אבגדהוזחטיכךלמםנןסעפףצץקרשת", 0.04),
    ("cp1256", "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىأإآؤئءپچژگ", 0.05),
    ("cp1257", "āčēģīķļņšūžąęėįųõäöü", 0.05),
    ("iso8859_2", "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüß", 0.04),
    ("iso8859_5", _CYRILLIC, 0.05),
    ("cp866", _CYRILLIC, 0.05),
    ("mac_roman", _WESTERN, 0.05),
    ("mac_cyrillic", _CYRILLIC, 0.06),
    ("cp437", _WESTERN, 0.06),
    ("cp850", _WESTERN, 0.07),
    ("cp852", "ąćęłńóśźżáčďéěíňřšťúůýžőű", 0.08),
    ("cp874", "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮะัาำิีึืุูเแโใไๅๆ็่้๊๋์", 0.05),
)
_DOUBLE_BYTE = ("cp932", "gb18030", "cp949", "big5hkscs", "euc_jp")
_PUNCTUATION = "“”‘’„‚–—…«»‹›€£§°·•©®™ªº¿¡´¼½¾×±²³µ\u00a0"
_ONE_LETTER_WORDS = "àéèêòóáíúôавикосуяієž"
_WORDS = 4000
"""Words outside ASCII that are judged, spread over the file."""
_WORD = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
_UNKNOWN = -0.5
"""Points for each character below which a text is in none of these encodings."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text of a file, and how its encoding was detected."""

    text: str
    encoding: str
    guessed: bool = False
    bad_bytes: int = 0
    first_bad: int = 0
    """Offset of the first byte that is invalid in the encoding."""


def decode(data: bytes, declared: str = "") -> Decoded | None:
    """Return the text of a file, or None if its encoding is not recognised.

    Args:
        data: all bytes of the file.
        declared: the encoding that the file itself names, if any. UTF-8 without an error takes precedence.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _with_bad_bytes(data, encoding)
    wide = wide_encoding(data)
    if wide:
        return _with_bad_bytes(data, wide)
    named = _known(declared)
    if named.startswith(("iso2022", "hz")):
        return _with_bad_bytes(data, named)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if named and named != "utf-8":
        decoded = _with_bad_bytes(data, named)
        if decoded.bad_bytes <= 0.01 * len(data):
            return decoded
    if _nearly_utf8(data) or named == "utf-8":
        return _with_bad_bytes(data, "utf-8")
    best = _likeliest(data)
    if best is None:
        return None
    found = _with_bad_bytes(data, best)
    return Decoded(found.text, best, True, found.bad_bytes, found.first_bad)


def _known(declared: str) -> str:
    name = _BROWSER_NAMES.get(declared.lower(), declared)
    if not name:
        return ""
    try:
        found = codecs.lookup(name)
    except LookupError:
        return ""
    # A page whose declaration could be read is not in UTF-16, and codecs such as base64 give no text.
    if not found._is_text_encoding or found.name.startswith(("utf-16", "utf-32", "utf-7", "idna", "punycode")):
        return "utf-8" if found.name.startswith("utf-16") else ""
    return found.name


def _with_bad_bytes(data: bytes, encoding: str) -> Decoded:
    """Decode with a replacement character for each run of bytes that is not of the encoding, and count these."""
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeDecodeError as error:
        text = data.decode(encoding, "replace")
        return Decoded(text, encoding, False, max(1, text.count("\ufffd")), error.start)


def wide_encoding(data: bytes) -> str:
    """Return the UTF-16 or UTF-32 encoding of a text without a byte order mark, or an empty string."""
    if b"\0" not in data[:4096]:
        return ""
    sample = data[: min(len(data), 65536) // 4 * 4] or data
    zeros = [sample[place::4].count(0) / max(1, len(sample[place::4])) for place in range(4)]
    if zeros[2] > 0.9 and zeros[3] > 0.9 and zeros[0] < 0.3:
        return "utf-32-le"
    if zeros[0] > 0.9 and zeros[1] > 0.9 and zeros[3] < 0.3:
        return "utf-32-be"
    low, high = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    if high > 0.6 and low < 0.05:
        return "utf-16-le"
    if low > 0.6 and high < 0.05:
        return "utf-16-be"
    return ""


def _nearly_utf8(data: bytes) -> bool:
    """Return whether far more characters outside ASCII are valid UTF-8 than bytes are not."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(len(run) for run in re.findall(r"[^\x00-\x7f\ufffd]+", text))
    return good > 3 * bad


def _likeliest(data: bytes) -> str | None:
    words = _WORD.findall(data)
    words = words[:: max(1, len(words) // _WORDS)]
    single = b" ".join(words)
    best, best_score = None, _UNKNOWN
    for encoding, letters, handicap in _CANDIDATES:
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        score = _score_letters(single.decode(encoding), letters) - handicap
        if score > best_score:
            best, best_score = encoding, score
    for encoding in _DOUBLE_BYTE:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        score = _score_ideographs(text, encoding)
        if score > best_score:
            best, best_score = encoding, score
    return best


def _score_letters(text: str, letters: str) -> float:
    """Return the mean of points for each character outside ASCII: 1 for a usual letter in a usual place."""
    points = 0.0
    count = 0
    for word in text.split(" "):
        for place, char in enumerate(word):
            if char.isascii():
                continue
            count += 1
            before = word[place - 1] if place else ""
            after = word[place + 1] if place + 1 < len(word) else ""
            points += _points(char, before, after, letters)
    return points / max(1, count)


def _points(char: str, before: str, after: str, letters: str) -> float:
    category = unicodedata.category(char)
    if char in letters:
        if not _is_latin(char) and (_is_ascii_letter(before) or _is_ascii_letter(after)):
            return -1.0
        alone = not before.isalpha() and not after.isalpha()
        return 1.0 if not alone or char in _ONE_LETTER_WORDS else 0.0
    if char.lower() in letters:
        # A capital within a word of small letters is a sign of the wrong encoding.
        return 0.9 if not before or not before.islower() else -1.5
    if category.startswith("L"):
        return -0.3
    if category.startswith("M"):
        return 0.0
    if char in _PUNCTUATION:
        # Quotation marks stand at the edges of words, and an apostrophe also within.
        within = before.isalpha() and after.isalpha()
        return -0.7 if within and char != "’" else 0.95
    return -1.5


def _score_ideographs(text: str, encoding: str) -> float:
    """Return the mean of points for each character outside ASCII: 1 for those that its languages use every day."""
    points = 0.0
    count = 0
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if char.isascii():
            continue
        count += 1
        code = ord(char)
        if _is_ascii_letter(before) and _is_ascii_letter(after):
            points -= 1.0
            continue
        if 0x3040 <= code <= 0x30FF:
            points += 1.2 if encoding in ("cp932", "euc_jp") else 0.2
        elif 0xAC00 <= code <= 0xD7A3:
            points += 1.2 if encoding == "cp949" and len(_bytes(char, "euc_kr")) == 2 else -0.5
        elif 0x4E00 <= code <= 0x9FFF:
            points += _ideograph(char, encoding)
        elif 0x3000 <= code <= 0x303F or 0xFF01 <= code <= 0xFF5E:
            points += 0.8
        elif 0xFF61 <= code <= 0xFF9F:
            points -= 0.5
        else:
            points -= 0.8
    # A few letters of a Western text that happen to form a pair of bytes prove nothing.
    return points / count if count >= 4 else -1.0


def _is_latin(char: str) -> bool:
    return unicodedata.name(char, "").startswith("LATIN")


def _is_ascii_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _bytes(char: str, encoding: str) -> bytes:
    try:
        return char.encode(encoding)
    except UnicodeEncodeError:
        return b""


_NATIONAL = {"gb18030": "gb2312", "cp932": "shift_jis", "euc_jp": "shift_jis", "big5hkscs": "big5", "cp949": "euc_kr"}
_EVERYDAY = {"gb2312": (0xB0, 0xD7), "shift_jis": (0x88, 0x97), "big5": (0xA4, 0xC6), "euc_kr": (0, 0)}
"""Lead bytes of common ideographs, which come first in each national table."""


def _ideograph(char: str, encoding: str) -> float:
    national = _NATIONAL[encoding]
    encoded = _bytes(char, national)
    if not encoded:
        return -0.3
    first, last = _EVERYDAY[national]
    return 0.95 if first <= encoded[0] <= last else 0.0
