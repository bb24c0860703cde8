"""Word lists of the made world, and names put together from them.

No name, title or filler word holds a full stop: HotPotQA's environment cuts sentences at ". ".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from agentq_data.dice import Dice

Draw: TypeAlias = Callable[[Dice], str]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Ada Alma Anton Arvid Aurel Basil Beata Bruno Carla Celia Conrad Dagmar Dario Edda Egon Elin Emil Erika "
    "Ezra Felix Flora Gerda Gregor Hanna Hector Helga Hugo Ida Igor Ines Ivo Jakob Jonas Judith Karin Kaspar "
    "Kira Lena Leopold Lydia Magda Marius Mattis Mira Nadia Nils Nora Olaf Olga Oskar Paula Petra Quentin "
    "Ramona Rasmus Renata Rufus Sabina Silas Simone Stella Sven Tabea Theo Tilda Ulrich Ursula Vera Viktor "
    "Wanda Werner Xenia Yvonne Zeno"
)
_SURNAME_STARTS = _words(
    "Ald Bar Brand Cal Cor Dal Dorn Eck Fal Fen Gar Grim Hal Harn Iss Jar Kell Kor Lam Lin Mar Mel Nor Oll "
    "Orm Par Quill Ral Rosk Sal Stel Tam Thorn Ull Var Vel Wen Wick Yar Zell"
)
_SURNAME_ENDS = _words(
    "ano berg dell ert ford gren hart ick ius lund mann more ner ovic quist sen stad well wyn"
)
_PLACE_STARTS = _words(
    "Ash Birch Black Brack Cold Crom Dun Elm Fair Fern Glen Gold Grey Hazel High Holm Iron Kings Lang Lark "
    "Long Marl Mill Moss North Oak Old Pen Raven Red Rock Salt Sand Silver Stone Storm Sun Swan Thorn West "
    "White Wild Wind Wolf"
)
_PLACE_ENDS = _words(
    "bridge burn bury by church cliff cote cross dale ey field ford gate grove ham haven hill holt hurst "
    "ington land ley low mere minster moor mouth ness pool port ridge shore stead ton vale wade water wick wood"
)
_RIVER_STARTS = _words(
    "Al Bel Cas Dor El Fer Gal Har Is Jor Kal Lor Mar Nev Or Pel Quen Ros Sar Tor Ul Ver Wes Zan"
)
_RIVER_ENDS = _words("a anna ara ene essa idon ile ine ora une wen yss")
_REGION_ENDS = _words("avia enia esia inia mark onia oria stan uria via")
ADJECTIVES = _words(
    "Amber Ancient Bitter Blue Broken Burning Crimson Crooked Distant Empty Endless Fading Forgotten Frozen "
    "Gentle Golden Green Hidden Hollow Iron Last Little Lonely Lost Narrow Painted Pale Patient Quiet Restless "
    "Rising Sacred Scarlet Second Secret Silent Silver Sleeping Stolen Sunken Velvet Wandering Winding Winter"
)
NOUNS = _words(
    "Anchor Balcony Bell Bridge Candle Carriage Castle Choir Clock Coast Comet Crown Dancer Door Farm Feast "
    "Ferry Forest Garden Gate Ghost Harbour Heart Horse House Island Journey Judge Kitchen Ladder Lantern "
    "Letter Library Lion Map Market Meadow Mirror Mountain Night Orchard Orchestra Painter Palace Piano Portrait "
    "Promise River Road Room Sailor Scholar Shadow Shepherd Snow Stair Station Storm Stranger Summer Tailor "
    "Theatre Tower Train Traveller Valley Voyage Wall Weaver Window Wolf"
)
THINGS = _words(
    "Ashes Birds Bones Cities Clouds Colours Dreams Echoes Flames Leaves Salt Smoke Stars Stones Waves"
)
_BAND_NOUNS = _words(
    "Acrobats Archers Astronomers Badgers Bakers Carpenters Cartographers Crows Divers Drummers Falcons Foxes "
    "Gardeners Herons Hunters Kites Lamplighters Magpies Millers Otters Owls Pilots Postmen Ravens Riders "
    "Robins Rowers Sparrows Tigers Wanderers Whalers Woodcutters"
)
MONTHS = _words("January February March April May June July August September October November December")
FILM_GENRES = (
    "adventure",
    "comedy",
    "crime",
    "drama",
    "fantasy",
    "horror",
    "musical",
    "mystery",
    "romance",
    "war",
)
NOVEL_GENRES = (
    "detective",
    "fantasy",
    "gothic",
    "historical",
    "satirical",
    "science fiction",
    "travel",
    "war",
)
MUSIC_GENRES = ("ambient", "blues", "bluegrass", "folk", "funk", "garage rock", "jazz", "pop", "punk", "soul")
PRODUCTS = _words(
    "bells bricks butter candles cheese cider clocks gloves honey lace lanterns leather mustard paper pears "
    "porcelain rope salt silk slate soap tiles violins wine wool"
)
SEAS = (
    "the Amber Sea",
    "the Bay of Herons",
    "the Cold Gulf",
    "the Grey Strait",
    "the Lower Sea",
    "the Pearl Bay",
)
SPORTS = ("chess", "cycling", "fencing", "handball", "rowing", "sailing", "skating", "swimming", "tennis")
ANIMALS = (
    "badger",
    "bear",
    "crane",
    "deer",
    "eagle",
    "fox",
    "heron",
    "lion",
    "otter",
    "owl",
    "raven",
    "stag",
)
AWARDS = ("Amber Quill", "Bronze Lyre", "Copper Mask", "Golden Heron", "Ivory Star", "Silver Oak")
ROLES = (
    "baker",
    "captain",
    "detective",
    "doctor",
    "farmer",
    "judge",
    "pilot",
    "priest",
    "spy",
    "teacher",
    "thief",
)


class Names:
    """Draws names that have not been drawn before."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._taken: set[str] = set()

    def region(self) -> str:
        """A country-like region."""
        return self._new(lambda d: d.pick(_SURNAME_STARTS) + d.pick(_REGION_ENDS))

    def town(self) -> str:
        """A town."""
        return self._new(lambda d: d.pick(_PLACE_STARTS) + d.pick(_PLACE_ENDS))

    def river(self) -> str:
        """A river, with the word."""
        return self._new(lambda d: "River " + d.pick(_RIVER_STARTS) + d.pick(_RIVER_ENDS))

    def person(self) -> str:
        """First name and surname."""
        return self._new(lambda d: f"{d.pick(FIRST_NAMES)} {d.pick(_SURNAME_STARTS)}{d.pick(_SURNAME_ENDS)}")

    def company(self, suffixes: tuple[str, ...]) -> str:
        """A company whose kind its name tells."""
        return self._new(lambda d: f"{d.pick(_SURNAME_STARTS)}{d.pick(_SURNAME_ENDS)} {d.pick(suffixes)}")

    def band(self) -> str:
        """A band."""
        return self._new(lambda d: f"{d.pick(('The ', ''))}{d.pick(ADJECTIVES)} {d.pick(_BAND_NOUNS)}")

    def work(self) -> str:
        """A film, novel or album."""
        return self._new(_work)

    def _new(self, draw: Draw) -> str:
        while True:
            name = draw(self._dice)
            if name.lower() not in self._taken:
                self._taken.add(name.lower())
                return name


def _work(d: Dice) -> str:
    form = d.below(5)
    if form == 0:
        return f"{d.pick(ADJECTIVES)} {d.pick(THINGS)}"
    if form == 1:
        return f"{d.pick(NOUNS)} of {d.pick(THINGS)}"
    if form == 2:
        return f"A {d.pick(NOUNS)} in {d.pick(MONTHS)}"
    return f"The {d.pick(ADJECTIVES)} {d.pick(NOUNS)}"
