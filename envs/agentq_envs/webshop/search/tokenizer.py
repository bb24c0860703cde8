"""Word breaking as Lucene's StandardTokenizer does it: UAX #29 plus emoji sequences.

Source: Unicode Standard Annex #29 (word boundaries) and UTS #51 (emoji sequences), in the version that
Lucene 8 was built with. Two departures from today's Unicode tables are kept on purpose: the wider
Extended_Pictographic set of Unicode 11, and skin tones that do not count as combining marks.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import Protocol

import regex

MAX_TOKEN_LENGTH = 255  # characters; Lucene cuts a longer word into pieces of this length
_WINDOW = 4 * MAX_TOKEN_LENGTH

# Extended_Pictographic of Unicode 11. Later tables dropped many symbols (U+2605 BLACK STAR, U+2661 WHITE
# HEART ...) that the reference index holds as tokens.
_PICTOGRAPHS = (
    r"\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9-\u21aa\u231a-\u231b\u2328\u2388\u23cf"
    r"\u23e9-\u23f3\u23f8-\u23fa\u24c2\u25aa-\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612"
    r"\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714\u2716\u271d\u2721\u2728\u2733-\u2734\u2744\u2747\u274c"
    r"\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1\u27b0\u27bf\u2934-\u2935\u2b05-\u2b07"
    r"\u2b1b-\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f12f"
    r"\U0001f16c-\U0001f171\U0001f17e-\U0001f17f\U0001f18e\U0001f191-\U0001f19a\U0001f1ad-\U0001f1e5"
    r"\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f23c-\U0001f23f"
    r"\U0001f249-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff"
    r"\U0001f774-\U0001f77f\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f\U0001f848-\U0001f84f"
    r"\U0001f85a-\U0001f85f\U0001f888-\U0001f88f\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f90f"
    r"\U0001f910-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001fffd"
)

# Text without a non-ASCII character: runs of word characters, joined by . ' : between letters and . , ; '
# between digits. A run of underscores alone also fits here and is dropped later (rejecting it here costs
# quadratic time).
_ASCII_WORD = re.compile(
    r"[A-Za-z0-9_]+(?:(?:(?<=[A-Za-z])[.':](?=[A-Za-z])|(?<=[0-9])[.,;'](?=[0-9]))[A-Za-z0-9_]+)*"
)
# Pieces that no token crosses: ASCII up to a blank, or one blank-free stretch that holds other characters.
_PIECE = re.compile(r"[\x00-\x7f]*(?:[\x00-\x20]|\Z)|[^\x00-\x20]+")


class _Match(Protocol):
    def start(self) -> int: ...
    def end(self) -> int: ...
    def group(self) -> str: ...


class _Pattern(Protocol):
    def search(self, string: str, pos: int = 0, endpos: int = ...) -> _Match | None: ...
    def findall(self, string: str) -> list[str]: ...


@cache
def _unicode_word() -> _Pattern:
    """The full grammar, compiled at the first text that needs it (about 10 ms)."""
    skin = r"[\U0001f3fb-\U0001f3ff]"
    extend = rf"[[\p{{WB=Extend}}\p{{WB=Format}}\p{{WB=ZWJ}}]--{skin}]*+"  # UAX #29 rule WB4
    extend_emoji = rf"[[\p{{WB=Extend}}\p{{WB=Format}}\p{{WB=ZWJ}}]--[{skin}\ufe0e\ufe0f]]*"
    letter = (
        rf"(?:\p{{WB=Hebrew_Letter}}{extend}(?:'{extend}|\"{extend}\p{{WB=Hebrew_Letter}}{extend})"
        rf"|[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{extend})"
    )
    digit = rf"[\p{{WB=Numeric}}\uff10-\uff19]{extend}"
    katakana = rf"\p{{WB=Katakana}}{extend}"
    joiner = rf"(?:\p{{WB=ExtendNumLet}}{extend})"
    between_letters = rf"[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}']{extend}"
    between_digits = rf"[\p{{WB=MidNum}}\p{{WB=MidNumLet}}']{extend}"
    run = (
        rf"(?:{katakana}(?:{joiner}*{katakana})*"
        rf"|(?:{digit}(?:(?:{joiner}*|{between_digits}){digit})*"
        rf"|{letter}(?:(?:{joiner}*|{between_letters}){letter})*)+)"
    )
    word = rf"(?<!\p{{WB=ExtendNumLet}}){joiner}*+{run}(?:{joiner}+{run})*{joiner}*"
    lead = r"(?:(?<!\u200d)\u200d++)?"  # joiners before an emoji belong to it
    emoji = (
        rf"(?:{lead}\p{{Emoji_Modifier_Base}}{extend_emoji}{skin}{extend_emoji}|{skin}{extend_emoji}"
        rf"|{lead}[{_PICTOGRAPHS}]{extend_emoji}\ufe0f?)"
    )
    emoji_sequence = rf"{emoji}(?:(?:(?<=\u200d)|\u200d){emoji})*"
    keycap = rf"[#*]{extend_emoji}\ufe0f?\u20e3{extend_emoji}"
    flag = rf"(?:\p{{WB=Regional_Indicator}}{extend}){{2}}"
    single = rf"[\p{{Script=Han}}\p{{Script=Hiragana}}]{extend}"
    south_east_asian = r"\p{LB=SA}+"
    alternatives = (word, emoji_sequence, keycap, flag, south_east_asian, single)
    return regex.compile("(?V1)" + "|".join(alternatives))


def _cut(pattern: _Pattern, text: str) -> list[str]:
    """Tokens of a text that holds a word of more than 255 characters: the scanner sees 255 at a time."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        window_end = (
            position + _WINDOW
        )  # matching to the end of an endless word for each piece would be quadratic
        found = pattern.search(text, position, window_end)
        if found is None:
            position += _WINDOW - MAX_TOKEN_LENGTH
        elif found.end() == window_end and found.start() > position:
            position = found.start()  # the word may go on behind the window
        else:
            if found.end() - found.start() > MAX_TOKEN_LENGTH:
                found = pattern.search(text, found.start(), found.start() + MAX_TOKEN_LENGTH) or found
            tokens.append(found.group())
            position = found.end()
    return tokens


def _scan(pattern: _Pattern, text: str) -> list[str]:
    tokens = pattern.findall(text)
    return _cut(pattern, text) if max(map(len, tokens), default=0) > MAX_TOKEN_LENGTH else tokens


def split_words(text: str) -> list[str]:
    """Raw tokens of a text in order, neither lower-cased nor filtered; may hold runs of underscores alone."""
    if text.isascii():
        return _scan(_ASCII_WORD, text)
    return list(
        chain.from_iterable(
            _scan(_ASCII_WORD if piece.isascii() else _unicode_word(), piece)
            for piece in _PIECE.findall(text)
        )
    )
