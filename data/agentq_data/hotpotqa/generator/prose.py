"""What pages say: sentence patterns of every kind of page, and the wording of questions.

A pattern's fields name the facts that its sentence states, so a fact's place in a page follows from the pattern
that was used. Alternatives are separated by "|". The first group of a kind opens its pages, the others follow
in any order; fillers state no fact.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Fields that are no facts.
PLAIN_FIELDS = frozenset({"name", "last", "region", "birth_day", "role", "sport", "award"})

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "town": (
        "{name} is a town in {region} on the {river}.|{name} is a market town in {region} that lies on the {river}.",
        "It had a population of {population} at the last census.|The town has {population} inhabitants.",
        "The town was founded in {founded}.|{name} received its charter as a town in {founded}.",
        "It is known for its {product}.|Most of the town's income comes from {product}.",
        "The mayor of {name} is {mayor}.|Since the last election {mayor} has been its mayor.",
    ),
    "river": (
        "The {name} is a river in {region}.|The {name} runs through the west of {region}.",
        "It is {length} kilometres long.|Its length is {length} kilometres.",
        "The river flows into {sea}.|It reaches {sea} through a wide delta.",
    ),
    "college": (
        "{name} is a college in {town} in {region}.|{name} is an old college in the town of {town}.",
        "It was established in {founded}.|The college opened its doors in {founded}.",
        "It teaches about {students} students.|Some {students} students attend it.",
        "Its emblem is a {animal}.|A {animal} stands on the coat of arms of the college.",
    ),
    "company": (
        "{name} is a {branch} based in {town}.|{name} is a {branch} with its seat in {town}.",
        "It was founded by {founder}.|{founder} founded the company with borrowed money.",
        "The company started business in {founded}.|It has existed since {founded}.",
        "It employs {staff} people.|The company has a staff of {staff}.",
    ),
    "person": (
        "{name} (born {birth_day} {birth_year}) is a {occupation} from {region}."
        "|{name}, born on {birth_day} {birth_year}, is a {occupation}.",
        "{last} was born in {birth_town}.|The family of {last} lived in {birth_town}, where {name} was born.",
        "{last} studied at {college}.|{last} is a graduate of {college}.",
    ),
    "film": (
        "{name} is a {year} {genre} film directed by {director}.|{name} is a {genre} film of {year} by {director}.",
        "It stars {star} as a {role}.|The leading role, a {role}, is played by {star}.",
        "The music was written by {composer}.|{composer} composed the score.",
        "It was produced by {studio}.|The film was made by {studio}.",
        "The film runs for {minutes} minutes.|It is {minutes} minutes long.",
    ),
    "novel": (
        "{name} is a {genre} novel by {author}.|{name} is a {genre} novel written by {author}.",
        "It was first published in {year}.|The first edition appeared in {year}.",
        "The book was published by {publisher}.|Its publisher is {publisher}.",
        "The story is set in {setting}.|Most of the story takes place in {setting}.",
        "The first edition had {length} pages.|It has {length} pages.",
    ),
    "band": (
        "{name} is a {genre} band from {town}.|{name} is a {genre} band that comes from {town}.",
        "The band was formed in {year}.|It has played together since {year}.",
        "The lead singer is {singer}.|{singer} sings and writes most of the songs.",
        "Its records appear on {label}.|The band is under contract with {label}.",
    ),
    "album": (
        "{name} is an album by {band}.|{name} is a studio album of {band}.",
        "It was released in {year}.|The album came out in {year}.",
        "It was recorded with the producer {producer}.|{producer} produced the album.",
        "It has {tracks} tracks.|The album holds {tracks} songs.",
    ),
}  # fmt: skip

FILLERS: Mapping[str, tuple[str, ...]] = {
    "town": (
        "A weekly market is held in front of the old town hall.", "The railway station lies an hour away on foot.",
        "Its church tower can be seen from far away.", "Floods have damaged the lower streets several times.",
        "A small museum shows how people lived here in earlier times.",
    ),
    "river": (
        "Several old bridges cross it.", "In spring the water is high and brown.",
        "Barges carried timber on it for centuries.", "Otters have come back to its upper course.",
        "A cycle path follows its left bank.",
    ),
    "college": (
        "Its library keeps many old maps.", "The main building has a green copper roof.",
        "Lectures are open to the public in summer.", "A botanical garden belongs to it.",
    ),
    "company": (
        "A fire destroyed its first building.", "The owners have changed twice since then.",
        "Visitors can see a small exhibition there.", "Business was slow during the first winters.",
    ),
    "person": (
        "In a long interview {last} spoke about {sport} and early mornings.", "{last} won the {award} once.",
        "As a child {last} wanted to become a {role}.", "{last} is also known for an interest in {sport}.",
        "A street has been named after {last}.", "{last} keeps two dogs and a large library.",
    ),
    "film": (
        "Critics praised the pictures more than the plot.", "Part of it was shot in heavy rain.",
        "It won the {award} of its year.", "A scene about {sport} was cut from the final version.",
    ),
    "novel": (
        "The manuscript was lost for some time.", "Readers complained about the sad ending.",
        "It received the {award}.", "One chapter is about {sport}.",
    ),
    "band": (
        "Its concerts are known for long encores.", "All members had played in other groups before.",
        "It won the {award} once.", "A song about {sport} made it known abroad.",
    ),
    "album": (
        "The cover shows an empty street.", "Two songs were written in a single night.",
        "It won the {award}.", "The recordings took nine weeks.",
    ),
}  # fmt: skip

#: (kind, reference) -> how the one it points to is described; {name} is the page's own name.
DESCRIPTIONS: Mapping[tuple[str, str], str] = {
    ("film", "director"): "the director of the film {name}|the person who directed the film {name}",
    ("film", "star"): "the star of the film {name}|the leading actor of the film {name}",
    ("film", "composer"): "the composer of the music of the film {name}",
    ("film", "studio"): "the studio that produced the film {name}|the company that made the film {name}",
    ("novel", "author"): "the author of the novel {name}|the writer of the novel {name}",
    ("novel", "publisher"): "the publisher of the novel {name}|the company that published the novel {name}",
    ("novel", "setting"): "the town in which the novel {name} is set",
    ("band", "town"): "the town that the band {name} comes from",
    ("band", "singer"): "the lead singer of the band {name}|the singer of the band {name}",
    ("band", "label"): "the record label of the band {name}",
    ("album", "band"): "the band that recorded the album {name}|the band behind the album {name}",
    ("album", "producer"): "the producer of the album {name}|the person who produced the album {name}",
    ("person", "birth_town"): "the town in which {name} was born|the birthplace of {name}",
    ("person", "college"): "the college at which {name} studied",
    ("company", "founder"): "the founder of {name}|the person who founded {name}",
    ("company", "town"): "the town in which {name} has its seat",
    ("college", "town"): "the town of {name}",
    ("town", "mayor"): "the mayor of {name}",
    ("town", "river"): "the river on which {name} lies",
}

#: (kind, fact) -> a question about one of that kind, described as {x}.
ASKED: Mapping[tuple[str, str], str] = {
    ("person", "birth_town"): "In which town was {x} born?|Where was {x} born?",
    ("person", "birth_year"): "In what year was {x} born?",
    ("person", "college"): "Where did {x} study?|At which college did {x} study?",
    ("company", "founder"): "Who founded {x}?|Who was the founder of {x}?",
    ("company", "founded"): "In what year did {x} start business?",
    ("company", "town"): "In which town is {x} based?",
    ("company", "staff"): "How many people does {x} employ?",
    ("town", "river"): "On which river does {x} lie?|Which river passes {x}?",
    ("town", "population"): "What is the population of {x}?|How many inhabitants does {x} have?",
    ("town", "founded"): "In what year was {x} founded?",
    ("town", "mayor"): "Who is the mayor of {x}?",
    ("town", "product"): "What is {x} known for?",
    ("college", "founded"): "In what year was {x} established?",
    ("college", "students"): "How many students attend {x}?",
    ("college", "animal"): "Which animal is the emblem of {x}?",
    ("college", "town"): "In which town is {x}?",
    ("band", "town"): "Which town does {x} come from?",
    ("band", "year"): "In what year was {x} formed?",
    ("band", "singer"): "Who is the lead singer of {x}?",
    ("band", "genre"): "What genre of music does {x} play?",
    ("band", "label"): "On which label do the records of {x} appear?",
    ("river", "length"): "How many kilometres long is {x}?",
    ("river", "sea"): "Into which sea does {x} flow?|Where does {x} end?",
}

#: (kind, fact) -> a question about {a} and {b}; "first" or "last": whose number is lower or higher.
COMPARED: Mapping[tuple[str, str, str], str] = {
    ("film", "year", "first"): "Which film was released first, {a} or {b}?",
    ("film", "year", "last"): "Which film is more recent, {a} or {b}?",
    ("film", "minutes", "last"): "Which film is longer, {a} or {b}?",
    ("novel", "year", "first"): "Which novel was published first, {a} or {b}?",
    ("novel", "length", "last"): "Which novel has more pages, {a} or {b}?",
    ("person", "birth_year", "first"): "Who was born earlier, {a} or {b}?|Who is older, {a} or {b}?",
    ("person", "birth_year", "last"): "Who is younger, {a} or {b}?",
    ("town", "population", "last"): "Which town has more inhabitants, {a} or {b}?",
    ("town", "founded", "first"): "Which town is older, {a} or {b}?",
    ("company", "founded", "first"): "Which company was founded first, {a} or {b}?",
    ("company", "staff", "last"): "Which company employs more people, {a} or {b}?",
    ("band", "year", "first"): "Which band was formed first, {a} or {b}?",
    ("album", "tracks", "last"): "Which album has more tracks, {a} or {b}?",
    ("college", "students", "last"): "Which college has more students, {a} or {b}?",
}

#: (kind, fact) -> a yes/no question whether {a} and {b} have it in common.
SHARED: Mapping[tuple[str, str], str] = {
    ("film", "director"): "Were {a} and {b} directed by the same person?",
    ("film", "genre"): "Are {a} and {b} films of the same genre?",
    ("film", "studio"): "Were {a} and {b} produced by the same studio?",
    ("person", "birth_town"): "Were {a} and {b} born in the same town?",
    ("person", "college"): "Did {a} and {b} study at the same college?",
    ("person", "occupation"): "Do {a} and {b} have the same occupation?",
    ("novel", "publisher"): "Do {a} and {b} have the same publisher?",
    ("band", "town"): "Are {a} and {b} from the same town?",
    ("band", "genre"): "Do {a} and {b} play the same genre of music?",
    ("town", "river"): "Do {a} and {b} lie on the same river?",
}
