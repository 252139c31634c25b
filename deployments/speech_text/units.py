"""English words for units of measurement: "80 km/h", "-5°C", "1/2 kg", "5'11\"", "12 m²"."""

from __future__ import annotations

import re

from deployments.speech_text.numbers import NUMBER, START, cardinal, fraction
from deployments.speech_text.rule import one_of, rule

# Singular; the plural has an "s" unless it is given.
_UNITS = {
    "km": "kilometer", "m": "meter", "dm": "decimeter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer",
    "μm": "micrometer", "nm": "nanometer", "mi": "mile", "yd": "yard", "ft": "foot|feet", "ha": "hectare",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "µg": "microgram", "μg": "microgram", "lb": "pound",
    "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter",
    "cl": "centiliter", "dl": "deciliter", "gal": "gallon", "tsp": "teaspoon", "tbsp": "tablespoon",
    "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "µs": "microsecond", "μs": "microsecond",
    "ns": "nanosecond", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "yr": "year",
    "yrs": "year", "Hz": "hertz|hertz", "kHz": "kilohertz|kilohertz", "MHz": "megahertz|megahertz",
    "GHz": "gigahertz|gigahertz", "W": "watt", "mW": "milliwatt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt",
    "Wh": "watt hour", "kWh": "kilowatt hour", "MWh": "megawatt hour", "V": "volt", "kV": "kilovolt",
    "mV": "millivolt", "A": "amp", "mA": "milliamp", "mAh": "milliamp hour", "Ω": "ohm", "kΩ": "kilohm", "J": "joule",
    "kJ": "kilojoule", "cal": "calorie", "kcal": "kilocalorie", "Pa": "pascal", "hPa": "hectopascal",
    "kPa": "kilopascal", "MPa": "megapascal", "psi": "P S I|P S I", "dB": "decibel", "kN": "kilonewton",
    "B": "byte", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "PB": "petabyte", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "TiB": "tebibyte",
    "kbps": "kilobit per second|kilobits per second", "Mbps": "megabit per second|megabits per second",
    "Gbps": "gigabit per second|gigabits per second", "kbit": "kilobit", "Mbit": "megabit", "Gbit": "gigabit",
    "mph": "mile per hour|miles per hour", "kph": "kilometer per hour|kilometers per hour",
    "kmh": "kilometer per hour|kilometers per hour", "mpg": "mile per gallon|miles per gallon",
    "rpm": "revolution per minute|revolutions per minute", "fps": "frame per second|frames per second",
    "bpm": "beat per minute|beats per minute", "ppm": "part per million|parts per million",
    "ppb": "part per billion|parts per billion", "eV": "electronvolt", "keV": "kiloelectronvolt",
    "MeV": "megaelectronvolt", "GeV": "gigaelectronvolt", "hp": "horsepower|horsepower",
    "mmHg": "millimeter of mercury|millimeters of mercury", "px": "pixel",
    "MP": "megapixel", "dpi": "dot per inch|dots per inch", "mol": "mole", "sq ft": "square foot|square feet",
    "sq m": "square meter", "sq km": "square kilometer", "sq mi": "square mile", "cu ft": "cubic foot|cubic feet",
    "fl oz": "fluid ounce", "°C": "degree Celsius|degrees Celsius", "°F": "degree Fahrenheit|degrees Fahrenheit",
    "° C": "degree Celsius|degrees Celsius", "° F": "degree Fahrenheit|degrees Fahrenheit", "°": "degree",
    "%": "percent|percent", "‰": "per mille|per mille",
}  # fmt: skip
# Units that are one letter, and a word or a name without a space: "5G", "4K", "221B". They need the space.
_SPACED = ("B", "J")
# And no noun may follow: "5 A levels".
_LAST = r"A(?= (?:of|at|fuse|current|circuit|breaker|charger|and|or)\b|[.,;:)]|\Z)"
# No words: also units without a number, as in "measured in GHz".
_ALONE = (
    "Hz", "kHz", "MHz", "GHz", "kW", "kWh", "MWh", "mAh", "dB", "eV", "keV", "MeV", "GeV", "mmHg", "hPa", "kPa", "kJ",
    "kcal", "km", "kg", "mg", "mL", "kB", "KiB", "MiB", "GiB", "kbps", "Mbps", "Gbps", "kph", "mph",
    "ppm", "ppb",
)  # fmt: skip
_PER = {
    "h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute", "d": "day", "day": "day",
    "week": "week", "wk": "week", "month": "month", "mo": "month", "year": "year", "yr": "year", "kg": "kilogram",
    "g": "gram", "l": "liter", "L": "liter", "m": "meter", "km": "kilometer", "m²": "square meter", "m^2":
    "square meter", "m³": "cubic meter", "m^3": "cubic meter", "cm³": "cubic centimeter", "s²": "second squared",
    "s^2": "second squared", "ft²": "square foot", "gal": "gallon", "person": "person", "mol": "mole",
    "kWh": "kilowatt hour", "lb": "pound", "oz": "ounce",
}  # fmt: skip
_POWERS = {"²": "square ", "^2": "square ", "³": "cubic ", "^3": "cubic "}

_QUANTITY = rf"((?:\d{{1,3}} )?\d{{1,3}}/\d{{1,3}}|{NUMBER})"
_UNIT = rf"({one_of(name for name in _UNITS if name not in (*_SPACED, 'A'))}|(?<= )(?:{one_of(_SPACED)}|{_LAST}))"
_RATE = rf"(?:\s?/\s?({one_of(_PER)}))?"
# "s" may be the plural of a number ("in the 80s"), which dates have read by then.
_END = r"(?![A-Za-z0-9²³^]|'[a-z])(?:\.(?= [a-z]))?"

_LENGTHS = {"'": ("foot", "feet"), '"': ("inch", "inches")}
_PRIMES = str.maketrans("′″", "'\"")
# Words that do not name what has a length: 12" pizza is "twelve inch pizza", 12" wide is "twelve inches wide".
_NO_NOUN = (
    r"and|or|by|x|to|in|of|from|for|is|are|was|were|at|on|with|if|than|as|but|when|wide|tall|long|deep|high|thick|"
    r"apart|above|below|off|away|across|square|each|per"
)
_LENGTH = rf"{START}(?<!['\"=])(?!0\b(?!\.))((?:\d{{1,3}} )?\d{{1,3}}/\d{{1,3}}|\d{{1,3}}(?:\.\d{{1,3}})?)"
_OF_A_NOUN = rf"(?!\w)(?=[ -](?!(?:{_NO_NOUN})\b)([a-z]{{2}})|)"


def _measured(match: re.Match[str]) -> str:
    number, unit, power, per = match.groups()
    one, _, many = _UNITS[unit].partition("|")
    prefix = _POWERS.get(power or "", "")
    amount, is_one, part = _amount(number)
    article = "an" if (prefix or one)[0] in "aeiou" and not one.startswith("u") else "a"
    name = f"of {article} {prefix}{one}" if part else prefix + (one if is_one else many or f"{one}s")
    if part and amount == "one half":
        amount, name = "half", f"{article} {prefix}{one}"
    return f"{amount} {name}" + (f" per {_PER[per]}" if per else "")


def _amount(number: str) -> tuple[str, bool, bool]:
    """Return the words of a quantity, whether its unit is singular, and whether it is a part of one unit."""
    if "/" not in number:
        return cardinal(number), number == "1", False
    whole, _, parts = number.rpartition(" ")
    words = fraction(*map(int, parts.split("/"))).replace(" out of ", " over ")
    if not whole:
        return words, False, True
    words = "a half" if words == "one half" else words.replace("one quarter", "a quarter")
    return f"{cardinal(whole)} and {words}", False, False


def _length(match: re.Match[str]) -> str:
    """Return "twelve inches" for 12", or "twelve inch" before a noun; what is a quotation stays."""
    number, mark, noun = match.groups()
    if not number:
        return match[0]
    words, is_one, part = _amount(number)
    one, many = _LENGTHS[mark.translate(_PRIMES)]
    words = "half" if words == "one half" else words
    if part and not noun:
        return f"{words} {'' if words == 'half' else 'of '}{'an' if one == 'inch' else 'a'} {one}"
    return f"{words} {one if is_one or noun else many}"


def _alone(match: re.Match[str]) -> str:
    before, unit, per = match.groups()
    one, _, many = _UNITS[unit].partition("|")
    name = one if before else many or f"{one}s"
    return (before or "") + name + (f" per {_PER[per]}" if per else "")


def _height(match: re.Match[str]) -> str:
    feet, inches = match.groups()
    return f"{cardinal(feet)} {'foot' if feet == '1' else 'feet'} {cardinal(inches)}"


RULES = (
    rule(r"(?<=\d)(\s?ft\.?\s\d{1,2})\s?in\b", r"\1 inches"),
    rule(r"(?<![\w.'])(\d)['′] ?(\d{1,2})(?:[\"″]|′′|''|(?![\w'\"]|\.\d|\s?[x×]))", _height),
    # 6' tall, a 6' fence, 8" x 10"
    rule(r"(?<=\d['′\"″])\s?[x×]\s?(?=\d)", " by "),
    rule(rf"(?<!\w)'(?!\d\d)[^']{{0,200}}'(?!\w)|{_LENGTH}(['′]){_OF_A_NOUN}", _length),
    rule(rf"(?<!\d)\"[^\"]{{0,200}}\"|{_LENGTH}([\"″]){_OF_A_NOUN}", _length),
    # 1h 30m
    rule(r"(?<=\dh)(\s?\d{1,2})\s?m\b", r"\1 min"),
    rule(rf"{START}{_QUANTITY}[ -]?{_UNIT}(²|³|\^2|\^3)?{_RATE}{_END}", _measured),
    # "dollars per lb"
    rule(rf"(?<=\bper )({one_of(_PER)})(?![\w'])", lambda match: _PER[match[1]]),
    # "measured in GHz"
    rule(rf"(\b(?:per|an?) )?(?<![\w'./-])({one_of(_ALONE)}){_RATE}(?![\w'/-]|\.\w)", _alone),
    # "hours/week", "requests/s" after a number and a word
    rule(rf"(?<=[a-z])/(?=(?:{one_of(('s', 'sec', 'min', 'h', 'day', 'week', 'month', 'year'))})\b)", " per "),
)
