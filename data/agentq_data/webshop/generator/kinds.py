"""Kinds of products: what they are called, where they stand, what they cost and which options they have.

A row: kinds of one shelf, the most frequent first, each ``name`` with a leading ``-`` when it takes no
article (plural or mass noun), then ``@`` and the lowest and highest price in dollars.
"""

from __future__ import annotations

from dataclasses import dataclass

# shelf: (category, breadcrumb, option pools that its products may have, kinds)
_SHELVES: dict[str, tuple[str, str, str, str]] = {
    "hair care": (
        "beauty",
        "Beauty & Personal Care › Hair Care",
        "scent ounces pack",
        "-shampoo@6-40, -hair conditioner@6-40, hair mask@8-45, -hair spray@5-35",
    ),
    "skin care": (
        "beauty",
        "Beauty & Personal Care › Skin Care",
        "scent ounces pack",
        "face cream@9-70, face serum@9-70, body lotion@6-40, -sunscreen@7-40",
    ),
    "makeup": (
        "beauty",
        "Beauty & Personal Care › Makeup",
        "shade pack style",
        "lipstick@5-35, eyeshadow palette@8-60, -mascara@5-35, makeup brush@5-45",
    ),
    "nails": (
        "beauty",
        "Beauty & Personal Care › Nail Care",
        "shade pack style",
        "-nail polish@4-25, nail file@4-25, -nail glue@4-20",
    ),
    "oral care": (
        "beauty",
        "Beauty & Personal Care › Oral Care",
        "mint pack style",
        "toothbrush@4-70, -toothpaste@4-30, -mouthwash@5-30",
    ),
    "bath": (
        "beauty",
        "Beauty & Personal Care › Bath & Fragrance",
        "scent ounces pack",
        "-body wash@5-35, -perfume@12-90, bath bomb@4-30, -deodorant@4-25",
    ),
    "audio": (
        "electronics",
        "Electronics › Home Audio",
        "color edition plug",
        "-headphones@15-250, portable speaker@15-250, soundbar@40-350, microphone@15-200",
    ),
    "computers": (
        "electronics",
        "Electronics › Computers & Tablets",
        "color memory edition",
        "keyboard@15-160, laptop@180-1400, computer mouse@9-90, monitor@80-600",
    ),
    "phone accessories": (
        "electronics",
        "Electronics › Phone Accessories",
        "color pack inches",
        "phone case@6-45, screen protector@5-30, watch band@6-50, phone holder@7-40",
    ),
    "video": (
        "electronics",
        "Electronics › Television & Video",
        "color inches edition",
        "projector@50-600, media player@30-200, tv mount@20-150, tv antenna@15-80",
    ),
    "cameras": (
        "electronics",
        "Electronics › Camera & Photo",
        "color edition memory",
        "security camera@25-250, tripod@15-180, digital camera@80-900, camera lens@40-700",
    ),
    "power": (
        "electronics",
        "Electronics › Power & Cables",
        "color feet pack",
        "power bank@15-90, wall charger@9-60, hdmi cable@6-40, extension cord@8-50",
    ),
    "seating": (
        "garden",
        "Home & Kitchen › Furniture › Chairs",
        "color decor pack",
        "office chair@60-400, bar stool@40-260, sofa@180-1200, ottoman@35-220",
    ),
    "tables": (
        "garden",
        "Home & Kitchen › Furniture › Tables",
        "color inches decor",
        "coffee table@60-450, nightstand@40-250, computer desk@70-450, dining table@120-900",
    ),
    "bedding": (
        "garden",
        "Home & Kitchen › Bedding",
        "color bed pack",
        "pillow@12-90, comforter@30-200, sheet set@20-150, mattress topper@50-300",
    ),
    "lighting": (
        "garden",
        "Home & Kitchen › Lighting & Fans",
        "color decor pack",
        "table lamp@18-150, ceiling light@25-300, wall sconce@20-180, -string lights@9-60",
    ),
    "kitchen": (
        "garden",
        "Home & Kitchen › Kitchen & Dining",
        "color inches pack",
        "frying pan@15-120, water bottle@9-50, cutting board@9-70, knife set@20-250",
    ),
    "decor": (
        "garden",
        "Home & Kitchen › Home Decor",
        "color inches decor",
        "area rug@25-350, window curtain@12-110, wall mirror@25-260, -wall art@12-160",
    ),
    "storage": (
        "garden",
        "Home & Kitchen › Storage & Organization",
        "color tiers pack",
        "storage bin@9-80, shoe rack@18-140, bookshelf@45-320, laundry basket@12-80",
    ),
    "outdoor": (
        "garden",
        "Patio & Lawn › Gardening",
        "color feet pack",
        "planter@9-120, garden hose@15-110, patio umbrella@35-260, bird feeder@12-80",
    ),
    "tops": (
        "fashion",
        "Clothing & Shoes › Tops & Knits",
        "color clothing cut",
        "polo shirt@12-70, hoodie@18-90, sweater@18-110, blouse@14-80",
    ),
    "bottoms": (
        "fashion",
        "Clothing & Shoes › Pants & Skirts",
        "color clothing cut",
        "-jeans@18-120, -leggings@12-70, -cargo shorts@15-70, skirt@14-80",
    ),
    "shoes": (
        "fashion",
        "Clothing & Shoes › Shoes",
        "color shoe edition",
        "-running shoes@25-180, -ankle boots@30-220, -sandals@15-110, -slippers@12-70",
    ),
    "outerwear": (
        "fashion",
        "Clothing & Shoes › Coats & Jackets",
        "color clothing cut",
        "rain jacket@25-180, winter coat@40-300, vest@18-120",
    ),
    "bags": (
        "fashion",
        "Clothing & Shoes › Bags & Wallets",
        "color litres edition",
        "backpack@18-150, tote bag@14-120, wallet@10-90, duffel bag@20-140",
    ),
    "sleepwear": (
        "fashion",
        "Clothing & Shoes › Sleep & Lounge",
        "color clothing pack",
        "pajama set@15-80, bathrobe@18-110, nightgown@14-70, -socks@6-35",
    ),
    "snacks": (
        "grocery",
        "Grocery & Gourmet Food › Snack Foods",
        "flavor ounces pack",
        "protein bar@6-45, -potato chips@4-40, -trail mix@6-45, -popcorn@4-35",
    ),
    "drinks": (
        "grocery",
        "Grocery & Gourmet Food › Beverages",
        "taste ounces pack",
        "-ground coffee@8-60, -green tea@5-45, -fruit juice@6-45, energy drink@6-50",
    ),
    "baking": (
        "grocery",
        "Grocery & Gourmet Food › Baking Supplies",
        "taste ounces pack",
        "cake mix@4-35, -almond flour@7-45, -frosting@4-30",
    ),
    "sauces": (
        "grocery",
        "Grocery & Gourmet Food › Sauces & Oils",
        "heat ounces pack",
        "-pasta sauce@5-40, -hot sauce@4-40, -olive oil@9-70, -salad dressing@4-35",
    ),
    "breakfast": (
        "grocery",
        "Grocery & Gourmet Food › Breakfast Foods",
        "taste ounces pack",
        "-granola@5-40, -oatmeal@4-35, -peanut butter@5-40, -pancake syrup@6-40",
    ),
    "sweets": (
        "grocery",
        "Grocery & Gourmet Food › Candy & Chocolate",
        "flavor ounces pack",
        "-gummy candy@4-35, chocolate bar@4-40, -dried fruit@6-45, -licorice@4-30",
    ),
}

_POPULARITY = (4, 2, 2, 1)  # families per deck, by position in the row: some shelves are crowded


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product; prices in dollars, ``options`` are names of option pools."""

    name: str
    article: bool
    category: str
    breadcrumb: str
    group: str
    low: int
    high: int
    options: tuple[str, ...]
    popularity: int


def _parse_shelf(group: str) -> list[Kind]:
    category, trail, options, row = _SHELVES[group]
    kinds: list[Kind] = []
    for entry, popularity in zip(row.split(","), _POPULARITY, strict=False):
        marked, _, prices = entry.strip().partition("@")
        name = marked.lstrip("-")
        low, _, high = prices.partition("-")
        breadcrumb = f"{trail} › {name.title()}"
        kinds.append(
            Kind(
                name,
                not marked.startswith("-"),
                category,
                breadcrumb,
                group,
                int(low),
                int(high),
                tuple(options.split()),
                popularity,
            )
        )
    return kinds


KINDS: tuple[Kind, ...] = tuple(kind for group in _SHELVES for kind in _parse_shelf(group))
