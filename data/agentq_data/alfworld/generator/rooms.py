"""What stands in the four kinds of rooms and what lies where: plausible numbers of our own.

The words are ALFWorld's object and receptacle types, so that its domain, prompts and agents fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: First scene number of each kind of room; a kind has scenes first .. first + 29.
FIRST_SCENE: Mapping[str, int] = {"kitchen": 1, "living_room": 201, "bedroom": 301, "bathroom": 401}
SCENES_OF_A_KIND = 30

OPENABLE = frozenset({"Cabinet", "Drawer", "Fridge", "Microwave", "Safe"})
#: Receptacles that often stand so close together that the agent reaches two from one place.
CLOSE_TOGETHER = frozenset({"Cabinet", "Drawer", "Shelf", "StoveBurner", "SideTable"})

#: Kind of room -> receptacle type -> fewest and most of it; fewer than 0 make it rarer.
FURNITURE: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "kitchen": {
        "CounterTop": (1, 2), "Cabinet": (2, 6), "Drawer": (2, 4), "Fridge": (1, 1), "Microwave": (1, 1),
        "SinkBasin": (1, 1), "StoveBurner": (2, 4), "CoffeeMachine": (0, 1), "Toaster": (0, 1),
        "GarbageCan": (1, 1), "DiningTable": (-1, 1), "Shelf": (-3, 2), "SideTable": (-2, 1),
    },
    "living_room": {
        "Sofa": (1, 1), "ArmChair": (0, 2), "CoffeeTable": (1, 1), "TVStand": (0, 1), "SideTable": (1, 2),
        "Shelf": (-1, 3), "Drawer": (-1, 4), "Cabinet": (-2, 3), "GarbageCan": (1, 1), "DiningTable": (0, 1),
        "Dresser": (-1, 1), "Safe": (-3, 1), "Desk": (-1, 1), "Ottoman": (-3, 1),
    },
    "bedroom": {
        "Bed": (1, 1), "Desk": (1, 1), "Drawer": (2, 5), "Dresser": (-1, 1), "Shelf": (0, 4),
        "SideTable": (0, 2), "GarbageCan": (1, 1), "LaundryHamper": (-1, 1), "Safe": (-2, 1),
        "ArmChair": (-2, 1), "Cabinet": (-4, 2),
    },
    "bathroom": {
        "Toilet": (1, 1), "SinkBasin": (1, 2), "BathtubBasin": (0, 1), "CounterTop": (1, 1),
        "Cabinet": (1, 4), "Drawer": (-1, 3), "ToiletPaperHanger": (1, 1), "HandTowelHolder": (1, 2),
        "TowelHolder": (1, 1), "GarbageCan": (1, 1), "Shelf": (-2, 2), "Cart": (-4, 1),
    },
}  # fmt: skip

#: Kind of room -> object type -> fewest and most of it; fewer than 0 make it rarer.
THINGS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "kitchen": {
        "Apple": (0, 2), "Bowl": (0, 2), "Bread": (-1, 1), "ButterKnife": (0, 2), "Cup": (0, 2),
        "DishSponge": (0, 2), "Egg": (-1, 2), "Fork": (0, 2), "Glassbottle": (-2, 1), "Kettle": (-2, 1),
        "Knife": (0, 1), "Ladle": (-1, 1), "Lettuce": (-1, 1), "Mug": (0, 2), "Pan": (-1, 1),
        "PepperShaker": (0, 2), "Plate": (0, 2), "Pot": (-1, 1), "Potato": (-1, 2), "SaltShaker": (0, 2),
        "SoapBottle": (-1, 1), "Spatula": (-1, 2), "Spoon": (0, 2), "Tomato": (-1, 2), "Vase": (-2, 1),
        "WineBottle": (-3, 1), "CreditCard": (-4, 1), "Book": (-4, 1),
    },
    "living_room": {
        "Book": (0, 2), "Box": (-1, 1), "CellPhone": (-1, 2), "CreditCard": (0, 2), "DeskLamp": (0, 1),
        "KeyChain": (0, 2), "Laptop": (0, 1), "Newspaper": (-1, 2), "Pen": (-1, 1), "Pencil": (-2, 1),
        "Pillow": (0, 2), "Plate": (-3, 1), "RemoteControl": (0, 2), "Statue": (-1, 2), "TissueBox": (-1, 1),
        "Vase": (-1, 2), "Watch": (-1, 2), "WateringCan": (-3, 1), "Candle": (-3, 1), "HousePlant": (-1, 1),
        "Television": (-1, 1),
    },
    "bedroom": {
        "AlarmClock": (0, 2), "BaseballBat": (-2, 1), "BasketBall": (-2, 1), "Book": (0, 2), "Bowl": (-3, 1),
        "Box": (-2, 1), "CD": (0, 2), "CellPhone": (0, 2), "CreditCard": (0, 2), "DeskLamp": (0, 1),
        "KeyChain": (0, 2), "Laptop": (0, 1), "Mug": (-2, 1), "Pen": (0, 2), "Pencil": (0, 2),
        "Pillow": (0, 2), "Statue": (-3, 1), "TennisRacket": (-3, 1), "TissueBox": (-2, 1), "Watch": (-3, 1),
        "Vase": (-4, 1), "HousePlant": (-3, 1),
    },
    "bathroom": {
        "Candle": (0, 2), "Cloth": (0, 2), "DishSponge": (-2, 1), "HandTowel": (0, 2), "Plunger": (-1, 1),
        "SoapBar": (0, 2), "SoapBottle": (0, 2), "SprayBottle": (0, 2), "TissueBox": (-2, 1),
        "ToiletPaper": (0, 2), "Towel": (0, 1), "ScrubBrush": (-1, 1),
    },
}  # fmt: skip


def _places(text: str) -> dict[str, int]:
    """ "Shelf:2 Desk" -> {"Shelf": 2, "Desk": 0}; a type without a number may hold the object, that is all."""
    pairs = (word.partition(":") for word in text.split())
    return {name: int(weight or 0) for name, _, weight in pairs}


_FOOD = "CounterTop:4 DiningTable:3 Fridge:4 GarbageCan:1 SinkBasin:2 Microwave SideTable:1"
_CUTLERY = "CounterTop:3 DiningTable:2 Drawer:4 SinkBasin:2 SideTable:1"
_CROCKERY = (
    "CounterTop:3 DiningTable:3 Cabinet:4 Shelf:2 SinkBasin:2 Microwave:1 Fridge:1 CoffeeTable:1 SideTable:1"
)
_PAPERS = "Desk:4 Drawer:3 Shelf:2 SideTable:2 Dresser:2 CoffeeTable:2 DiningTable:2 CounterTop:1 TVStand:1"
_BATH = "CounterTop:3 Cabinet:3 Toilet:2 Shelf:2 Cart:2 Drawer:1 GarbageCan:1 SideTable:1"
_DECOR = (
    "Shelf:3 CoffeeTable:2 SideTable:2 Dresser:2 DiningTable:2 TVStand:1 CounterTop:1 Desk:1 Cabinet:1 Safe"
)
_SOFT = "Sofa:3 ArmChair:2 Bed:4 Ottoman:1"

#: Object type -> receptacle types that may hold it, with how often it is found there at the start.
PLACES: Mapping[str, Mapping[str, int]] = {
    name: _places(text)
    for name, text in {
        "AlarmClock": "Desk:3 SideTable:3 Dresser:2 Shelf:2 DiningTable CounterTop",
        "Apple": _FOOD, "Egg": _FOOD, "Lettuce": _FOOD, "Potato": _FOOD, "Tomato": _FOOD,
        "Bread": "CounterTop:4 DiningTable:3 Fridge:2 GarbageCan:1 Microwave Toaster SideTable:1",
        "BaseballBat": "Bed:2 Desk:1", "BasketBall": "Bed:1 Desk:2 ArmChair:1",
        "TennisRacket": "Bed:2 Dresser:1 Desk",
        "Book": _PAPERS + " Bed:4 Sofa:2 ArmChair:1 Cabinet:1",
        "Bowl": _CROCKERY + " Desk:1 Dresser", "Cup": _CROCKERY, "Plate": _CROCKERY,
        "Mug": _CROCKERY + " CoffeeMachine:2 Desk:2 Dresser:1",
        "Box": "CoffeeTable:2 Sofa:2 ArmChair:1 Desk:1 DiningTable:2 Dresser:1 SideTable:1 Shelf Cabinet",
        "ButterKnife": _CUTLERY, "Fork": _CUTLERY, "Spoon": _CUTLERY, "Knife": _CUTLERY,
        "Ladle": _CUTLERY + " Cabinet:1", "Spatula": _CUTLERY,
        "CD": "Desk:3 Drawer:4 Shelf:2 SideTable:2 Dresser:2 GarbageCan:1 Safe:1 TVStand",
        "Candle": _BATH + " CoffeeTable:1 TVStand:1", "Cloth": "BathtubBasin:2 " + _BATH,
        "CellPhone": _PAPERS + " Bed:3 Sofa:2 ArmChair:1 Safe:1",
        "CreditCard": _PAPERS + " ArmChair:1 Safe Sofa", "KeyChain": _PAPERS + " Safe:2 ArmChair:1 Ottoman Sofa",
        "DeskLamp": "Desk:5 SideTable:4 Dresser:2 Shelf:1 DiningTable:1",
        "DishSponge": "SinkBasin:3 CounterTop:2 Drawer:1 Cabinet:1 Toilet:1 BathtubBasin:1 Shelf Cart GarbageCan",
        "Glassbottle": "CounterTop:3 Cabinet:2 Fridge:2 GarbageCan:1 DiningTable:1 SinkBasin",
        "HandTowel": "HandTowelHolder:5 Cabinet BathtubBasin CounterTop SinkBasin GarbageCan",
        "Towel": "TowelHolder:5", "ScrubBrush": "Toilet:1 CounterTop:1 Cabinet:1",
        "HousePlant": "Shelf:2 SideTable:1 CoffeeTable:1 Dresser:1 Desk:1 TVStand:1",
        "Kettle": "StoveBurner:3 CounterTop:2 Cabinet:2 SinkBasin DiningTable Shelf",
        "Laptop": "Desk:4 Bed:3 Sofa:2 CoffeeTable:2 DiningTable:2 ArmChair:1 Dresser",
        "Newspaper": "Sofa:2 CoffeeTable:3 ArmChair:1 SideTable:2 DiningTable:1 Drawer:1 GarbageCan Ottoman Bed",
        "Pan": "StoveBurner:4 CounterTop:2 Cabinet:2 SinkBasin:1 DiningTable:1 Fridge",
        "Pot": "StoveBurner:4 CounterTop:2 Cabinet:2 SinkBasin:1 Shelf:1 Fridge DiningTable",
        "Pen": _PAPERS + " GarbageCan:1", "Pencil": _PAPERS + " GarbageCan:1", "Pillow": _SOFT,
        "PepperShaker": "CounterTop:3 Cabinet:2 Drawer:2 Shelf:2 DiningTable:2 SideTable:1",
        "SaltShaker": "CounterTop:3 Cabinet:2 Drawer:2 Shelf:2 DiningTable:2 SideTable:1",
        "Plunger": "Cabinet:2 Cart:1 CounterTop", "RemoteControl": _PAPERS + " Sofa:4 ArmChair:2 Ottoman:1",
        "SoapBar": "SinkBasin:2 BathtubBasin:2 " + _BATH, "SoapBottle": _BATH,
        "SprayBottle": _BATH, "Statue": _DECOR, "Television": "TVStand:5 SideTable:1 Dresser:1",
        "TissueBox": _BATH + " CoffeeTable:2 Desk:1 Dresser:1",
        "ToiletPaper": _BATH + " ToiletPaperHanger:4", "Vase": _DECOR, "Watch": _DECOR + " Drawer:2 Sofa",
        "WateringCan": "CoffeeTable:1 SideTable:2 Drawer Cabinet Shelf", "WineBottle": _DECOR + " Fridge:2 GarbageCan",
    }.items()
}  # fmt: skip

SCENERY = frozenset({"DeskLamp", "HousePlant", "Television"})  # cannot be picked up
LAMP = "DeskLamp"


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


HOLLOW = _kinds("Bowl Box Cup Mug Pan Plate Pot")
CLEANABLE = _kinds(
    "Apple Bowl ButterKnife Cloth Cup DishSponge Egg Fork Kettle Knife Ladle Lettuce Mug Pan Plate Pot Potato "
    "SoapBar Spatula Spoon Tomato"
)
HEATABLE = _kinds("Apple Bread Cup Egg Mug Plate Potato Tomato")
COOLABLE = _kinds("Apple Bowl Bread Cup Egg Lettuce Mug Pan Plate Pot Potato Tomato WineBottle")
SLICEABLE = _kinds("Apple Bread Egg Lettuce Potato Tomato")


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What a task type needs: rooms, the device, which objects, and its goal phrases."""

    name: str
    rooms: tuple[str, ...]
    objects: frozenset[str] | None  # None: everything that can be carried
    device: str | None  # receptacle type that changes the object
    verb: str | None  # the command that does it
    phrases: tuple[str, str]  # {o} object, {t} target or lamp, in lower case
    count: int = 1


_ALL = ("kitchen", "living_room", "bedroom", "bathroom")
KINDS: tuple[TaskKind, ...] = (
    TaskKind("pick_and_place_simple", _ALL, None, None, None, ("put a {o} in {t}", "put some {o} on {t}")),
    TaskKind(
        "look_at_obj_in_light", ("living_room", "bedroom"), None, None, None,
        ("look at {o} under the {t}", "examine the {o} with the {t}"),
    ),
    TaskKind(
        "pick_clean_then_place_in_recep", ("kitchen", "kitchen", "bathroom"), CLEANABLE, "SinkBasin", "clean",
        ("put a clean {o} in {t}", "clean some {o} and put it in {t}"),
    ),
    TaskKind(
        "pick_heat_then_place_in_recep", ("kitchen",), HEATABLE, "Microwave", "heat",
        ("put a hot {o} in {t}", "heat some {o} and put it in {t}"),
    ),
    TaskKind(
        "pick_cool_then_place_in_recep", ("kitchen",), COOLABLE, "Fridge", "cool",
        ("put a cool {o} in {t}", "cool some {o} and put it in {t}"),
    ),
    TaskKind(
        "pick_two_obj_and_place", _ALL, None, None, None,
        ("put two {o} in {t}", "find two {o} and put them in {t}"), 2,
    ),
)  # fmt: skip
