"""Brands, filler words and sentence patterns of titles, bullets and descriptions.

Patterns use {kind}, {brand} and {a} (an attribute as it stands, so that the reward can find it).
"""

from __future__ import annotations

from agentq_data.webshop.generator.attributes import ADJECTIVE, PART, USE


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


BRANDS: tuple[str, ...] = _words(
    """
    Abrivo Adelko Alvenza Amberlo Ardona Astrivo Balvero Bexley Birqua Bolvar Brenzo Brivada Calvino
    Candoro Castiva Cedrik Celvora Corvida Crestal Dalvin Darvona Delmira Dravo Dunwick Elmira Elvenda
    Embrio Endrix Estoval Fabrola Falkano Fenwick Ferrova Finbrook Florenza Galvora Garlin Gelvano
    Glenmar Gorvan Halvero Harlowe Havenza Helmira Hexaro Holvik Ilvenda Imbrio Indaro Iskaro Jalvero
    Jarvona Jessaro Jolvik Juvanti Kalvero Karmiro Kelvona Kestrin Kirvano Koldara Lambrio Larvona
    Lenvika Lorvani Luxaro Maldiva Marvello Melvora Mirvano Mondriva Nalvero Narvika Nelmira Norvado
    Novanti Olvera Ombrio Ordavo Orvanta Osmira Palvero Pelvona Pendrix Pirvano Porvada Quelmira
    Quintaro Ralvero Renvika Rivanto Rolmira Rundell Salvero Selvona Sorvada Stelvio Sundaro Talvero
    Telmira Tirvano Torvada Tremiro Ulvera Umbrio Valmira Vendrix Virano Volkaro Walmira Welvona
    Wendrik Wilvano Xandaro Yarvona Yelmira Zalvero Zelvona Zirvano Zolmira Zundara
    """
)

# Filler words of titles, by category and for all.
FILLERS: dict[str, tuple[str, ...]] = {
    "any": _words(
        "new premium upgraded improved genuine popular everyday value favorite original exclusive "
        "ultimate essential superior special trusted amazing excellent perfect bestseller"
    ),
    "beauty": _words(
        "gentle luxury daily spa unisex radiant professional beauty care formula soothing refreshing "
        "nourishing glow treatment ritual silky delicate velvety cosmetic"
    ),
    "electronics": _words(
        "smart digital advanced universal portable tech gadget device series edition powerful reliable "
        "intelligent compatible performance electronic equipment innovative precision dynamic"
    ),
    "garden": _words(
        "home house indoor family cozy decorative stylish household comfort decorations elegant "
        "contemporary minimalist charming sturdy durable accent furnishing apartment practical"
    ),
    "fashion": _words(
        "casual trendy fashion comfy seasonal spring autumn outfit stylish lovely elegant wardrobe "
        "clothing athletic streetwear workout chic graceful relaxed timeless"
    ),
    "grocery": _words(
        "delicious tasty gourmet yummy fresh wholesome traditional pantry kitchen treat healthy natural "
        "nutritious homemade savory flavorful hearty artisan tempting farmers"
    ),
}

# Words that carry no meaning at the end of a title.
SERIES: tuple[str, ...] = (
    "Series 100", "Series 200", "Series 300", "Series 500", "Model 120", "Model 240", "Model 360",
    "No 5", "No 7", "No 9", "2021 Edition", "2022 Edition", "2023 Edition",
)  # fmt: skip

# Titles: {lead} and {tail} are fillers, {adj} adjectives, {rest} "with ... for ..." of the other roles.
TITLES: tuple[str, ...] = (
    "{brand} {lead} {adj} {kind} {rest} {tail}",
    "{brand} {adj} {kind} {rest} {lead} {tail}",
    "{lead} {adj} {kind} {rest} by {brand} {tail}",
    "{brand} {kind} {adj} {lead} {rest} {tail}",
    "{brand} {lead} {kind} - {adj} {rest} {tail}",
    "{adj} {kind} {rest} - {brand} {lead} {tail}",
)

# A bullet or description sentence about one attribute, by its role.
ABOUT: dict[str, tuple[str, ...]] = {
    ADJECTIVE: (
        "this {kind} is {a} so you can enjoy it every day",
        "{a} design that our customers love",
        "what makes it different: {a}",
        "made to be {a} from the start",
        "{a} and tested by our team before shipping",
        "you asked for {a} and we listened",
        "truly {a} unlike many other brands",
    ),
    PART: (
        "comes with {a} for better results",
        "we added {a} to this {kind}",
        "features {a} that you will notice right away",
        "the secret is {a} chosen with care",
        "{a} included in every single one",
        "built around {a} and nothing else",
        "thanks to {a} it does more than you expect",
    ),
    USE: (
        "perfect for {a} and much more",
        "a great choice for {a}",
        "created with {a} in mind",
        "many people use this {kind} for {a}",
        "recommended for {a} by happy customers",
        "ideal for {a} at any time of the year",
        "the right {kind} for {a}",
    ),
}

# Sentences that say nothing about attributes.
EMPTY_TALK: tuple[str, ...] = (
    "please check the details before you order",
    "satisfaction guarantee: write to us and we answer within one day",
    "{brand} has been making {kind} for over 20 years",
    "a thoughtful present for friends and family members",
    "colors may look slightly different on your screen",
    "package contains 1 {kind} and a user guide",
    "our support team is always happy to help",
    "join thousands of happy customers today",
    "we check each {kind} by hand before it leaves our warehouse",
    "shipping takes only a few days",
    "if you do not like it send it back within 30 days",
    "once you try {brand} you will never go back",
    "keep in a cool and dry place away from direct sunlight",
    "responsible packaging without unnecessary plastic",
    "we donate part of our profit to local schools",
    "measure twice and order once",
    "follow us for more ideas, news and discounts",
    "designed in our studio, produced with respect for workers",
    "the most wanted {kind} of the season according to magazines",
    "reviewers call it the smartest purchase of their year",
    "limited stock available, so grab yours before it sells out",
    "suits beginners and experts alike",
    "this model replaces last season's version",
    "each detail was carefully considered by {brand}",
    "read the instructions and warnings first",
    "an affordable {kind} that looks expensive",
    "your money back whenever something goes wrong",
    "makes mornings brighter and evenings calmer",
    "inspired by mountains, rivers and forests",
    "neighbors and colleagues will ask where you found it",
)

DESCRIPTIONS: tuple[str, ...] = (
    "meet the {brand} {kind} that everyone talks about",
    "{brand} brings you a {kind} you can rely on",
    "about this item: {kind} from {brand}",
    "looking for your next {kind}? {brand} has what you need",
    "the {kind} by {brand} is a bestseller for good reasons",
    "product description of the {brand} {kind}",
)
