"""Closed word lists of the noun taggers."""

from __future__ import annotations

_STUB = """
a an and are as at be but by for from if in into is it no not of on or our s such t that the their then
there these they this to was we will with you your
"""
_GRAMMAR = """
a an and any all are as at be both but by can each every for from has have her his if in into is it its
more most my no not of on only onto or other our out over own per s so some such t than that the their
then there these they this those to too under up upon very via vs was we were what when where which while
who will with within without would you your about above across after against along among around before
behind below between during except inside near outside since through toward until one two three four five
six seven eight nine ten etc
"""
_ADJECTIVES = """
new old big small large medium mini tiny huge long short high low wide narrow deep thin thick slim tall
fat full half double single triple multi hot cold cool warm dry wet soft hard light heavy lightweight
strong solid smooth rough sharp fine fresh clean clear pure natural organic real true fake faux
artificial good great best better nice perfect premium super ultra extra deluxe professional modern
classic vintage retro casual formal sexy cute elegant beautiful pretty stylish funny novelty fashionable
unique special easy quick fast slow safe loose tight flat round square oval rectangular straight curved
open closed adjustable portable removable reusable disposable waterproof compatible universal wireless
digital smart electric electronic automatic manual active daily outdoor indoor upper lower front rear top
left right black white red blue green yellow orange purple pink brown gray grey beige navy gold silver
dark bright personal original traditional international american european non off
"""
_VERBS = """
make makes made get gets use uses used using include includes included including listed designed built
upgraded updated removes helps keep keeps wear fits come comes
"""

#: What the stub behind the reference vectors leaves out.
STUB_WORDS = frozenset(_STUB.split())
#: Function words, and verb forms that rarely head a noun phrase.
NEVER_NOUNS = frozenset((_GRAMMAR + _VERBS).split())
#: Frequent adjectives of product titles.
ADJECTIVES = frozenset(_ADJECTIVES.split())
#: Endings of typical adjectives and adverbs, for words of five letters or more.
ADJECTIVE_ENDINGS = (
    *("able", "ible", "less", "ful", "ous", "proof", "resistant", "free"),
    *("ly", "ish", "ic", "ical", "est"),
)
