"""Digits by name, as people of ten languages type them in a hurry."""

import numpy as np

NAMES = {
    "Dutch": "nul een twee drie vier vijf zes zeven acht negen",
    "English": "zero one two three four five six seven eight nine",
    "Finnish": "nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän",
    "French": "zéro un deux trois quatre cinq six sept huit neuf",
    "German": "null eins zwei drei vier fünf sechs sieben acht neun",
    "Italian": "zero uno due tre quattro cinque sei sette otto nove",
    "Polish": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "Spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "Swahili": "sifuri moja mbili tatu nne tano sita saba nane tisa",
    "Turkish": "s\u0131f\u0131r bir iki üç dört beş alt\u0131 yedi sekiz dokuz",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def name(digit: int, rng: np.random.Generator, *, typos: float) -> str:
    """The digit's name in a language drawn at random, each letter mistyped with probability ``typos``."""
    language = sorted(NAMES)[int(rng.integers(len(NAMES)))]
    return mistyped(NAMES[language].split()[digit], rng, rate=typos)


def mistyped(word: str, rng: np.random.Generator, *, rate: float) -> str:
    """``word`` with letters swapped, dropped, doubled or replaced; at least one letter stays."""
    letters = list(word)
    out: list[str] = []
    i = 0
    while i < len(letters):
        kind = int(rng.integers(4)) if rng.random() < rate else -1
        if kind == 0 and i + 1 < len(letters):
            out += [letters[i + 1], letters[i]]
            i += 1
        elif kind == 2:
            out += [letters[i]] * 2
        elif kind == 3:
            out.append(_LETTERS[int(rng.integers(len(_LETTERS)))])
        elif kind != 1 or len(letters) == 1:
            out.append(letters[i])
        i += 1
    return "".join(out) or word
