"""Bad text made from good text: navigation, OCR noise, shuffled words, tables of numbers, and boilerplate.

A quality filter learns from it if nobody has labelled anything.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

_CONFUSED: Final = {
    "l": "1I|", "i": "l1!", "o": "0", "e": "c", "a": "o@", "s": "5", "t": "f+", "n": "ri", "m": "rn", "h": "b",
    "c": "e(", "u": "ii", "b": "6", "g": "9q", "d": "cl", "r": "i", "v": "y", "w": "vv",
    "I": "l", "O": "0", "S": "5", "B": "8",
}  # fmt: skip
_MENU: Final = (
    "Home", "About", "Contact", "Search", "Login", "Register", "Help", "Menu", "News", "Products", "Services", "Blog",
    "Careers", "Downloads", "FAQ", "Sitemap", "Next", "Previous", "Top", "Share", "Print", "Archive", "Events", "More",
)  # fmt: skip
_LEGAL: Final = (
    "We use cookies to improve your experience.",
    "By continuing to use this site you accept our privacy policy.",
    "All rights reserved.",
    "Subscribe to our newsletter.",
    "Sign up for free updates.",
    "Click here to read more.",
    "Follow us on social media.",
    "Terms of service apply.",
    "Share this page with your friends.",
    "This page was last updated yesterday.",
    "Please enable JavaScript to view this page.",
    "No part of this publication may be reproduced without permission.",
    "You are receiving this message because you are subscribed to our list.",
    "Unsubscribe at any time.",
    "Add to cart.",
    "Best viewed in a modern browser.",
)


def planted(text: str, rng: random.Random) -> dict[str, str]:
    """Return one bad text of each kind, of about the length of a good one."""
    return {kind: make(text, rng) for kind, make in _KINDS.items()}


def _navigation(text: str, rng: random.Random) -> str:
    found = text.split()
    entries = []
    for _ in range(max(6, len(found) // 5)):
        start = rng.randrange(max(1, len(found) - 3))
        own = " ".join(found[start : start + rng.randint(1, 3)]).strip(".,;:()\"'").capitalize()
        entries.append(rng.choice(_MENU) if rng.random() < 0.4 else own)
    return rng.choice([" | ", "\n", " » ", " · ", "\n- "]).join(entries)


def _ocr_noise(text: str, rng: random.Random) -> str:
    share = rng.uniform(0.06, 0.2)
    noisy = []
    for character in text:
        chance = rng.random()
        if chance < share and character in _CONFUSED:
            noisy.append(rng.choice(_CONFUSED[character]))
        elif chance < share / 4:
            noisy.append(rng.choice([" ", "", ".", "'", "~", "|", f"{character} "]))
        else:
            noisy.append(character)
    return "".join(noisy)


def _shuffled(text: str, rng: random.Random) -> str:
    found = text.split()
    rng.shuffle(found)
    return " ".join(found)


def _numbers(text: str, rng: random.Random) -> str:
    names = re.findall(r"[^\W\d_]{4,}", text) or ["Total"]
    rows = []
    for _ in range(max(4, len(text) // 60)):
        cells = [f"{rng.uniform(0, 10 ** rng.randint(1, 5)):.{rng.randint(0, 2)}f}" for _ in range(rng.randint(3, 8))]
        rows.append("  ".join([rng.choice(names), *cells] if rng.random() < 0.5 else cells))
    return "\n".join(rows)


def _boilerplate(text: str, rng: random.Random) -> str:
    lines = rng.sample(_LEGAL, rng.randint(4, 9))
    names = re.findall(r"\b[A-Z][^\W\d_]{3,}", text) or ["Example"]
    lines.insert(rng.randrange(len(lines)), f"Copyright © {rng.randint(1995, 2030)} {rng.choice(names)}.")
    return rng.choice([" ", "\n"]).join(lines)


_KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "navigation": _navigation,
    "ocr noise": _ocr_noise,
    "shuffled": _shuffled,
    "numbers": _numbers,
    "boilerplate": _boilerplate,
}
KINDS: Final = tuple(_KINDS)
"""Names of the kinds of bad text."""
