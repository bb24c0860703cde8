"""Attribute vocabulary of the generated catalogue.

Every product draws from the pool of its top category and from the pool of its group (a shelf such as
"seating" or "snacks"). A mark in front says how the attribute joins a noun: none for an adjective ("a
gluten free X"), ``+`` for a part or substance ("X with memory foam"), ``~`` for a use ("X for dry hair").

No two attributes of a shelf may count as equal in WebShop's reward (token_set_ratio > 85), so none has a
word set inside another's; a test holds this.
"""

from __future__ import annotations

from dataclasses import dataclass

ADJECTIVE, PART, USE = "adjective", "part", "use"
_ROLES = {"+": PART, "~": USE}

CATEGORY_POOLS = {
    "beauty": "cruelty free, paraben free, sulfate free, alcohol free, fragrance free, long lasting, "
    "+natural ingredients, travel friendly, dermatologist tested, vegan formula, +essential oils, "
    "~sensitive skin, high quality, clinically proven, non toxic, ~mature women, +refillable container",
    "electronics": "high speed, easy install, +carrying case, water resistant, dust proof, plug play, "
    "~gaming setup, lightweight build, energy efficient, +lifetime warranty, certified refurbished, "
    "ultra compact, shock proof, +led display, low power, +touch control, ~small business",
    "garden": "easy clean, easy assemble, heavy duty, space saving, eco friendly, fade resistant, "
    "~living room, ~dining room, ~small apartment, mid century, hand crafted, +stainless steel, "
    "solid wood, rust proof, non slip, +antique brass, ~holiday season",
    "fashion": "machine wash, hand wash, quick drying, classic fit, ~everyday wear, soft fabric, "
    "+cotton blend, wrinkle free, breathable mesh, +polyester lining, ~teen girls, ~office work, "
    "plus size, four way stretch, +hidden pocket, ~beach vacation, fair wage",
    "grocery": "gluten free, dairy free, non gmo, low sugar, keto friendly, plant based, certified organic, "
    "nut free, soy free, kosher certified, individually wrapped, +zero preservatives, low sodium, "
    "high protein, +resealable bag, ready eat, ~school snacks",
}

GROUP_POOLS = {
    "hair care": "+argan oil, +coconut oil, +tea tree, +keratin protein, color safe, anti dandruff, "
    "volume boosting, frizz control, ~dry hair, ~curly hair, ~damaged hair, ~hair growth, heat protecting",
    "skin care": "+hyaluronic acid, +vitamin c, +aloe vera, +shea butter, anti aging, oil free, "
    "fast absorbing, ~dark circles, ~fine lines, ~acne spots, deep moisturizing, "
    "+retinol complex, non greasy",
    "makeup": "smudge proof, highly pigmented, matte finish, shimmer finish, +vitamin e, "
    "buildable coverage, ~eye makeup, +synthetic bristles, +mirror case, ultra blendable, sweat proof, "
    "+jojoba oil, ~wedding day",
    "nails": "chip resistant, gel shine, double sided, ~acrylic nails, ~thick nails, salon grade, "
    "peel off, +brush applicator, odor free, strong hold, one coat, ~nail art, +rubber handle",
    "oral care": "teeth whitening, fluoride free, +soft bristles, +charcoal powder, ~bad breath, "
    "~gum health, +spearmint oil, enamel safe, ~sensitive teeth, +travel cover, kids approved, "
    "plaque removing, +xylitol crystals",
    "bath": "+lavender oil, +epsom salt, aluminum free, +pump bottle, skin softening, ~gift giving, "
    "+sea minerals, ph balanced, sweat blocking, rich lather, ~night routine, moisture locking, hand poured",
    "audio": "noise cancelling, +deep bass, wireless bluetooth, hands free, +stereo sound, "
    "+voice assistant, ~home theater, +surround sound, sweat shielded, +usb connection, foldable design, "
    "+volume knob, low latency",
    "computers": "+backlit keys, +quad core, +mechanical switches, silent click, ergonomic shape, "
    "+intel processor, +full hd, anti glare, +solid state drive, +number pad, spill resistant, "
    "+adjustable stand, ~office productivity",
    "phone accessories": "+tempered glass, scratch resistant, drop tested, +magnetic closure, "
    "wireless charging, +card slots, crystal clear, +kickstand back, ultra slim, bubble free, "
    "anti fingerprint, +silicone grip, ~car dashboard",
    "video": "+ultra hd, +remote control, +hdr support, long range, ~outdoor movies, +built speakers, "
    "full motion, dual band, +wall bracket, bright picture, +screen mirroring, multi room, +swivel arm",
    "cameras": "night vision, wide angle, +motion detection, +optical zoom, +image stabilization, "
    "+memory card, aluminum alloy, quick release, carbon fiber, two way audio, +ball head, "
    "~wildlife photography, +battery backup",
    "power": "fast charging, gold plated, +usb port, braided nylon, surge protected, +multi outlet, "
    "overheat protected, +power delivery, tangle free, +led indicator, high capacity, +angle plug, "
    "fire resistant",
    "seating": "+lumbar support, +memory foam, height adjustable, +faux leather, +metal legs, "
    "+padded armrests, +swivel base, button tufted, high back, +velvet upholstery, +linen fabric, "
    "~game room, +footrest ring",
    "tables": "+glass top, +storage drawer, +steel frame, extendable leaf, round edge, +open shelf, "
    "+marble finish, +walnut veneer, +cable tray, ~small office, +hairpin legs, +lift top, high gloss",
    "bedding": "+cooling gel, hypoallergenic fill, +goose down, +bamboo cover, +deep pockets, all season, "
    "ultra soft, +egyptian cotton, ~side sleepers, super plush, reversible pattern, +corner loops, "
    "+microfiber shell",
    "lighting": "+dimmable bulb, +glass shade, +brushed nickel, +motion sensor, solar powered, "
    "battery operated, warm white, +pull chain, +bronze finish, +fabric shade, ~reading corner, "
    "+remote dimmer, +crystal drops",
    "kitchen": "dishwasher safe, non stick, bpa free, leak proof, +double wall, oven safe, "
    "+wooden handle, +bamboo fiber, induction ready, +glass lid, +ceramic coating, razor sharp, "
    "+silicone sleeve",
    "decor": "hand woven, +abstract print, ready hang, +thermal lining, light blocking, +wood frame, "
    "+floral pattern, +geometric design, +fringe trim, stain resistant, ~guest bedroom, low pile, "
    "+grommet top",
    "storage": "+lockable wheels, +sliding doors, stackable design, +side handles, collapsible frame, "
    "wall mounted, +fabric liner, +five tiers, +clear lid, moisture proof, tool free, "
    "~closet organization, +label holder",
    "outdoor": "weather resistant, uv protected, kink free, +drainage holes, self watering, "
    "squirrel proof, +brass fittings, +tilt crank, frost tolerant, +hanging hook, expandable length, "
    "+wind vent, ~balcony garden",
    "tops": "long sleeve, short sleeve, +crew neck, +button front, +kangaroo pocket, +ribbed cuffs, "
    "moisture wicking, loose fit, +hooded collar, tie dye, +lace trim, cable knit, +turtle neck",
    "bottoms": "slim fit, straight leg, wide leg, high waist, +elastic waist, +side pockets, "
    "+drawstring closure, stretch denim, tummy control, +zipper fly, squat proof, boot cut, +pleated front",
    "shoes": "slip resistant, +rubber sole, +arch support, open toe, +memory insole, +ankle strap, "
    "lace up, wide width, +faux fur, +chunky heel, steel toe, shock absorbing, +cushioned footbed",
    "outerwear": "wind proof, fleece lined, +removable hood, down filled, +zip pockets, packable design, "
    "double breasted, +quilted lining, waterproof shell, +storm flap, +adjustable cuffs, "
    "thermal insulated, ~cold weather",
    "bags": "+genuine leather, +laptop sleeve, anti theft, rfid blocking, +shoulder strap, "
    "+zipper closure, +coin pouch, water repellent, +canvas fabric, ~weekend travel, +inner divider, "
    "trifold style, +key ring",
    "sleepwear": "+satin fabric, +button placket, +elastic band, knee length, +shawl collar, anti odor, "
    "+waist tie, seamless toe, +printed pattern, ultra warm, +terry cloth, compression support, "
    "+lace neckline",
    "snacks": "baked crisp, lightly salted, +sea salt, whole grain, kettle cooked, +chia seeds, bite size, "
    "low calorie, high fiber, air popped, +roasted almonds, +dried berries, low carb",
    "drinks": "caffeine free, dark roast, medium roast, fair trade, cold brew, +real fruit, zero calorie, "
    "loose leaf, fresh squeezed, +ginger root, single origin, naturally caffeinated, ~immune support",
    "baking": "fine ground, +cocoa powder, egg free, just add water, +vanilla extract, easy bake, "
    "~birthday party, +rainbow sprinkles, unsweetened blend, stone milled, +baking soda, grain free, "
    "finely sifted",
    "sauces": "cold pressed, extra virgin, slow cooked, extra hot, +roasted garlic, +fresh basil, "
    "first harvest, +glass bottle, fat free, creamy texture, +red pepper, ~meal prep, small batch",
    "breakfast": "+toasted coconut, steel cut, stone ground, +pumpkin seeds, quick cook, crunchy clusters, "
    "+omega fats, dark amber, unsalted roast, +added vitamins, smooth spread, ~kids breakfast, "
    "honey sweetened",
    "sweets": "sour coated, +fruit pectin, +cocoa nibs, +caramel filling, sun dried, chewy texture, "
    "+hazelnut pieces, +gift box, freeze dried, ~movie night, hand dipped, slow roasted, bulk size",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute in words, and how it joins a noun: "adjective", "part" or "use"."""

    text: str
    role: str

    @property
    def num_words(self) -> int:
        """Number of words."""
        return len(self.text.split())


def _parse(pool: str) -> tuple[Attribute, ...]:
    marked = (entry.strip() for entry in pool.split(","))
    return tuple(Attribute(text.lstrip("+~"), _ROLES.get(text[0], ADJECTIVE)) for text in marked)


_CATEGORIES = {name: _parse(pool) for name, pool in CATEGORY_POOLS.items()}
_GROUPS = {name: _parse(pool) for name, pool in GROUP_POOLS.items()}


def category_attributes(category: str) -> tuple[Attribute, ...]:
    """Attributes that any product of a top category may have."""
    return _CATEGORIES[category]


def group_attributes(group: str) -> tuple[Attribute, ...]:
    """Attributes that only the products of one shelf have."""
    return _GROUPS[group]
