"""
What is said about remedies and prices: English sentences made of facts.

Facts name places and vehicles by their identifiers; whoever knows better names puts these into the facts and
asks for the sentence anew.
"""

from collections.abc import Mapping

from optimizer.solution import Facts, Price, PriceKind, Remedy, RemedyKind

_REMEDIES: Mapping[RemedyKind, str] = {
    RemedyKind.READY_EARLIER: "It would fit if {place} handed it over {duration} earlier.",
    RemedyKind.DEADLINE_LATER: "It would fit if it were due {duration} later.",
    RemedyKind.LONGER_OPENING: "It would fit if {place} were open {duration} longer.",
    RemedyKind.LONGER_SHIFT: "It would fit if the shift of {vehicle} were {duration} longer.",
    RemedyKind.LONGER_RANGE: "It would fit if {vehicle} could drive {km} km further on one charge.",
    RemedyKind.LARGER_VEHICLE: "It would fit if {vehicle} could carry {amounts} more.",
    RemedyKind.MORE_VEHICLES: "One more vehicle like {vehicle} would save {saved}.",
    RemedyKind.MORE_COMPARTMENTS: "{compartments} in {place} would save {saved}.",
    RemedyKind.MORE_VOLUME: "Room for {litres} more l in {place} would save {saved}.",
    RemedyKind.HIGHER_PENALTY: "It would be carried if waiting cost {penalty}.",
}
_PRICES: Mapping[PriceKind, str] = {
    PriceKind.COMPARTMENTS: "{compartments} in {place} is worth {worth}.",
    PriceKind.VOLUME: "Room for one more l in {place} is worth {worth}.",
    PriceKind.VEHICLES: "One more vehicle like {vehicle} is worth {worth}.",
}


def remedy_in_words(remedy: Remedy, names: Mapping[str, str] | None = None) -> str:
    """Return the sentence of a remedy; ``names`` are better ones by identifier of places and vehicles."""
    words = _words(remedy.facts, names or {})
    return _REMEDIES[remedy.kind].format(**words, saved=_euros(remedy.saved_cents))


def price_in_words(price: Price, names: Mapping[str, str] | None = None) -> str:
    """Return the sentence of a price; ``names`` are better ones by identifier of places and vehicles."""
    words = _words(price.facts, names or {})
    if price.saved_cents is not None:
        worth = _euros(price.saved_cents)
    elif price.shadow_cents is not None:
        worth = f"about {_euros(price.shadow_cents)}"
    else:
        worth = "an amount that there was no time to find"
    return _PRICES[price.kind].format(**words, worth=worth)


def _words(facts: Facts, names: Mapping[str, str]) -> dict[str, str]:
    """Return the facts as they are said, and what is made of several of them."""
    words = {key: names.get(str(value), str(value)) for key, value in facts.items()}
    words["duration"] = _minutes(int(facts.get("minutes", 0)))
    words["km"] = f"{int(facts.get('distance_m', 0)) / 1000:g}"
    words["litres"] = _litres(facts.get("volume_cm3", 0))
    words["penalty"] = _euros(int(facts.get("penalty_cents", 0)))
    words["compartments"] = _compartments(facts)
    words["amounts"] = " and ".join(
        f"{how(facts[name])} {unit}" for name, (how, unit) in _AMOUNTS.items() if facts.get(name)
    )
    return words


def _compartments(facts: Facts) -> str:
    count = int(facts.get("count", 1))
    temperature = facts.get("temperature", "ambient")
    kind = "" if temperature == "ambient" else f"{temperature} "
    door = " behind a low door" if facts.get("door") == "low" else ""
    number, plural = ("One", "") if count == 1 else (str(count), "s")
    return f"{number} more {kind}{facts.get('size', '')} compartment{plural}{door}"


def _minutes(number: int) -> str:
    return f"{number} minute{'' if number == 1 else 's'}"


def _euros(cents: float) -> str:
    return f"{cents / 100:.2f} EUR"


def _litres(cubic_centimetres: int | str) -> str:
    return f"{int(cubic_centimetres) / 1000:g}"


_AMOUNTS = {
    "weight_g": (_litres, "kg"),
    "volume_cm3": (_litres, "l"),
    "chilled_cm3": (_litres, "l of chilled goods"),
    "frozen_cm3": (_litres, "l of frozen goods"),
}
