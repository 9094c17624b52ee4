"""Characters of symbol fonts as Unicode: fonts such as Symbol and Wingdings map codes to other characters."""

from __future__ import annotations

import re

_SYMBOL = dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True))
_SYMBOL |= dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True))
_SYMBOL |= dict(zip(range(0xA1, 0xB0), "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓", strict=True))
_SYMBOL |= dict(zip(range(0xB0, 0xBD), "°±″≥×∝∂•÷≠≡≈…", strict=True))
_SYMBOL |= dict(zip(range(0xC4, 0xD8), "⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅", strict=True))
_SYMBOL |= dict(zip(range(0xD8, 0xE6), "¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑", strict=True))
_SYMBOL |= {0x22: "∀", 0x24: "∃", 0x27: "∋", 0x2A: "∗", 0x2D: "−", 0x40: "≅", 0x5C: "∴", 0x5E: "⊥", 0x7E: "∼"}
_SYMBOL |= {0xF1: "⟩", 0xF2: "∫"}
_WINGDINGS = {0x22: "✂", 0x28: "☎", 0x29: "✆", 0x2A: "✉", 0x46: "☞", 0x4A: "☺", 0x4C: "☹"}
_WINGDINGS |= {0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖", 0x77: "◆", 0x78: "☒"}
_WINGDINGS |= dict(zip(range(0x80, 0x96), "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿", strict=True))
_WINGDINGS |= {0x9F: "•", 0xA1: "○", 0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xDC: "➲", 0xDF: "←", 0xE0: "→", 0xE1: "↑"}
_WINGDINGS |= {0xE2: "↓", 0xE8: "➔", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"}
_WINGDINGS_2 = {0x50: "✓", 0x4F: "✗", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x56: "☒", 0xA3: "☐", 0x2A: "☐"}
_FONTS = {"symbol": _SYMBOL, "wingdings": _WINGDINGS, "wingdings 2": _WINGDINGS_2}
PRIVATE = re.compile("[\uf020-\uf0ff]")
"""Codes that Word writes for characters of symbol fonts."""


def symbol(font: str, code: int) -> str:
    """Return the character that a font draws for a code; empty if it is unknown.

    Args:
        font: name of the font.
        code: character code from 0x20, or from 0xF020 as Word writes it for symbol fonts.
    """
    low = code - 0xF000 if 0xF020 <= code <= 0xF0FF else code
    table = _FONTS.get(font.lower())
    if table is not None and low <= 0xFF:
        # Digits and punctuation of Symbol are those of other fonts.
        return table.get(low, chr(low) if table is _SYMBOL and low < 0x7F else "")
    if 0xE000 <= code <= 0xF8FF or not 0x20 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return ""
    return chr(code)
