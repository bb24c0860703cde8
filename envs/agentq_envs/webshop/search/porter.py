"""Porter's stemmer in its author's revised form, as Lucene's PorterStemFilter runs it.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the three departures that
Porter lists for his own reference program (bli -> ble, logi -> log, words of one or two letters unchanged).
The kept libraries follow the article instead: snowballstemmer's "porter" leaves "technologi" and "trekk",
where the reference index holds "technolog" and "trek".
"""

from __future__ import annotations

_VOWELS = frozenset("aeiou")

# Step 2 and 3: the first suffix that fits decides, longer ones first within one last-but-one letter.
_STEP_2: dict[str, tuple[tuple[str, str], ...]] = {
    "a": (("ational", "ate"), ("tional", "tion")),
    "c": (("enci", "ence"), ("anci", "ance")),
    "e": (("izer", "ize"),),
    "l": (("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous")),
    "o": (("ization", "ize"), ("ation", "ate"), ("ator", "ate")),
    "s": (("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous")),
    "t": (("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")),
    "g": (("logi", "log"),),
}
_STEP_3: dict[str, tuple[tuple[str, str], ...]] = {
    "e": (("icate", "ic"), ("ative", ""), ("alize", "al")),
    "i": (("iciti", "ic"),),
    "l": (("ical", "ic"), ("ful", "")),
    "s": (("ness", ""),),
}
_STEP_4: dict[str, tuple[str, ...]] = {
    "a": ("al",),
    "c": ("ance", "ence"),
    "e": ("er",),
    "i": ("ic",),
    "l": ("able", "ible"),
    "n": ("ant", "ement", "ment", "ent"),
    "o": ("sion", "tion", "ou"),
    "s": ("ism",),
    "t": ("ate", "iti"),
    "u": ("ous",),
    "v": ("ive",),
    "z": ("ize",),
}


def _shape(word: str) -> str:
    """Letter kinds: "v" vowel, "c" anything else; y is a vowel exactly after a consonant."""
    kinds: list[str] = []
    previous = "v"  # a leading y is a consonant
    for letter in word:
        vowel = letter in _VOWELS or (letter == "y" and previous == "c")
        previous = "v" if vowel else "c"
        kinds.append(previous)
    return "".join(kinds)


def _measure(shape: str) -> int:
    """Porter's m: the number of vowel-consonant changes."""
    return shape.count("vc")


def _ends_double_consonant(word: str, shape: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and shape[-1] == "c"


def _ends_cvc(word: str, shape: str) -> bool:
    """Consonant, vowel, consonant other than w, x, y: the ending that wants its e back."""
    return shape.endswith("cvc") and word[-1] not in "wxy"


def _strip_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and word[-2] != "s":
        return word[:-1]
    return word


def _strip_past(word: str) -> str:
    """Step 1b: -eed, -ed, -ing, then repair of what is left."""
    if word.endswith("eed"):
        return word[:-1] if _measure(_shape(word[:-3])) > 0 else word
    stem = word[:-2] if word.endswith("ed") else word[:-3] if word.endswith("ing") else ""
    shape = _shape(stem)
    if "v" not in shape:
        return word
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if _ends_double_consonant(stem, shape):
        return stem if stem[-1] in "lsz" else stem[:-1]
    if _measure(shape) == 1 and _ends_cvc(stem, shape):
        return stem + "e"
    return stem


def _replace(word: str, rules: dict[str, tuple[tuple[str, str], ...]], key: str) -> str:
    for suffix, replacement in rules.get(key, ()):
        if word.endswith(suffix):
            stem = word[: -len(suffix)]
            return stem + replacement if _measure(_shape(stem)) > 0 else word
    return word


def _strip_suffix(word: str) -> str:
    """Step 4: drop a suffix after a stem of measure two or more (-ion only after s or t, which stay)."""
    for suffix in _STEP_4.get(word[-2:-1], ()):
        if word.endswith(suffix):
            stem = word[:-3] if suffix.endswith("ion") else word[: -len(suffix)]
            return stem if _measure(_shape(stem)) > 1 else word
    return word


def _tidy(word: str) -> str:
    """Step 5: a silent e, then ll -> l."""
    shape = _shape(word)
    measure = _measure(shape)
    if word.endswith("e") and (measure > 1 or (measure == 1 and not _ends_cvc(word[:-1], shape[:-1]))):
        word = word[:-1]
    if word.endswith("ll") and measure > 1:
        word = word[:-1]
    return word


def stem(word: str) -> str:
    """Stem of one lower-case word; words of one or two characters come back unchanged."""
    if len(word) <= 2:
        return word
    word = _strip_past(_strip_plural(word))
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    word = _replace(word, _STEP_2, word[-2:-1])
    word = _replace(word, _STEP_3, word[-1:])
    return _tidy(_strip_suffix(word))
