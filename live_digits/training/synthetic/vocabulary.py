"""Texts that drawn pages hold: words of no language in particular, numbers as people write them,
sums. None of the words of `prose`, by which the reader is measured, are listed here.
"""

from __future__ import annotations

import numpy as np

_HEADS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n",
          "p", "pl", "qu", "r", "s", "sch", "sp", "st", "t", "tr", "v", "w", "z", "")  # fmt: skip
_HEARTS = ("a", "e", "i", "o", "u", "ai", "au", "ea", "ei", "ie", "io", "oo", "ou", "y")
_TAILS = ("", "", "", "b", "ck", "d", "g", "l", "ll", "m", "n", "nd", "ng", "p", "r", "rt", "s",
          "ss", "st", "t", "x")  # fmt: skip
_LISTED = (
    "Aufgabe Blatt Seite Kapitel Datum Summe Punkte Klasse Raum Preis Menge Gesamt Milch Brot Eier "
    "Butter Zucker Apfel Salz Termin Montag Dienstag Freitag Januar Maerz April Juni Ergebnis "
    "Tarea Pagina Fecha Nombre Suma Clase Precio Leche Pan Huevos Azucar Manzanas Lunes Martes "
    "Exercice Devoir Feuille Note Prix Lait Pain Oeufs Sucre Pommes Lundi Mardi Janvier Fevrier "
    "Homework Exercise Lesson Chapter Quiz Test Score Result Answer Grocery Budget Meeting "
    "Deadline Monday Tuesday Thursday Sunday March August October December Kitchen Garage Battery "
    "Pencils Tomatoes Potatoes Flour Cheese Yoghurt Chicken Pepper Onion Garlic Screws Nails Paint "
    "Ticket Locker Door code Wifi Password Extension Invoice Balance Rent Fuel Distance Speed "
    "Volume Area Length Width Height Radius Angle Voltage Current Sample Trial Group Team Player"
)
_VARIABLES = "xyabnkmtpqrzxynαλμπφω"


def word(rng: np.random.Generator) -> str:
    """A word, at times one of a list, in small letters, with a capital or in capitals."""
    if rng.random() < 0.35:
        text = _chosen(rng, _LISTED.split())
    else:
        count = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
        text = "".join(
            part[int(rng.integers(len(part)))]
            for _ in range(count)
            for part in (_HEADS, _HEARTS, _TAILS)
        )
        text = text if len(text) > 1 else text + "n"
        text = text.capitalize() if rng.random() < 0.3 else text
    return text.upper() if rng.random() < 0.15 else text


def _chosen(rng: np.random.Generator, texts: list[str]) -> str:
    return texts[int(rng.integers(len(texts)))]


def words(rng: np.random.Generator, least: int, most: int) -> str:
    """Some words in a row."""
    return " ".join(word(rng) for _ in range(int(rng.integers(least, most + 1))))


def digits(rng: np.random.Generator, count: int) -> str:
    """So many digits; every fifth number has ones, noughts or twins above its share."""
    if rng.random() < 0.2:
        few = rng.choice(np.array(["01", "17", "10", "00", "1", "079", "4470", "11"]))
        return "".join(str(few)[int(rng.integers(len(few)))] for _ in range(count))
    return "".join(str(int(v)) for v in rng.integers(0, 10, count))


def number(rng: np.random.Generator, longest: int = 6) -> str:
    """A plain number of one to `longest` digits, mostly short."""
    shares = np.array([0.24, 0.3, 0.2, 0.14, 0.07, 0.05])[:longest]
    return digits(rng, 1 + int(rng.choice(len(shares), p=shares / shares.sum())))


def figure(rng: np.random.Generator) -> str:
    """A number as people note it: plain, a price, a date, a time, a telephone's, a share."""
    d, m, y = int(rng.integers(1, 32)), int(rng.integers(1, 13)), int(rng.integers(1900, 2040))
    between = str(rng.choice(np.array([".", "/", "-"])))
    forms = (
        number(rng),
        f"{digits(rng, int(rng.integers(1, 4)))}{rng.choice(np.array(['.', ',']))}{digits(rng, 2)}",
        f"{rng.choice(np.array(['$', '€']))}{number(rng, 4)}",
        f"{number(rng, 4)} €",
        f"{d}{between}{m}{between}{y}",
        f"{d:02d}.{m:02d}.",
        f"{rng.integers(24)}:{rng.integers(60):02d}",
        f"{digits(rng, 3)} {digits(rng, 3)} {digits(rng, 4)}",
        f"{digits(rng, int(rng.integers(3, 6)))}-{digits(rng, int(rng.integers(4, 8)))}",
        f"+{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 6)}",
        f"{number(rng, 2)} %",
        f"{number(rng, 3)} {rng.choice(np.array(['kg', 'cm', 'km', 'ml', 'min', 'EUR', 'pcs']))}",
        f"({number(rng, 3)})",
        f"{y}",
        f"#{number(rng, 3)}",
    )
    shares = np.array([26, 9, 4, 4, 7, 4, 6, 5, 4, 2, 4, 6, 6, 5, 4], float)
    return forms[int(rng.choice(len(forms), p=shares / shares.sum()))]


def calculation(rng: np.random.Generator) -> str:
    """A sum, an equation or a term in one line."""
    a, b, c = (number(rng, 4) for _ in range(3))
    op, op2 = (str(v) for v in rng.choice(np.array(["+", "-", "×", "÷", "·", "+", "-"]), 2))
    x = _VARIABLES[int(rng.integers(len(_VARIABLES)))]
    tail = f" = {number(rng, 4)}"
    forms = (
        f"{a} {op} {b}{tail}", f"{a}{op}{b}={c}", f"{a} {op} {b} {op2} {c}{tail}",
        f"{x} = {a} / {b}", f"{x} = {a}", f"{number(rng, 2)}{x} {op} {a} = {b}",
        f"({a} {op} {b}) {op2} {c}", f"(({number(rng, 1)}|{number(rng, 1)})*{number(rng, 1)})/{c}",
        f"{a} {op} ({b} {op2} {c}){tail}", f"√{a} = {b}", f"{a} < {b}", f"{a} > {b} > {c}",
        f"[{a}, {b}, {c}]", f"{a} → {b}", f"f({number(rng, 1)}) = {b}", f"{a} / {b}{tail}",
        f"{a} : {b} = {c}", f"2π{number(rng, 1)} ~ {a}.{number(rng, 2)}", f"({a}) + ({b})",
        f"{a} {op} {b} = ?", f"{a}%{tail}",
    )  # fmt: skip
    lot = rng.random()
    if lot < 0.2:
        return _algebra(rng, x)
    if lot < 0.4:
        return _short(rng)
    return forms[int(rng.integers(len(forms)))]


def _algebra(rng: np.random.Generator, x: str) -> str:
    """A term or an equation with an unknown; a ^ raises what follows it."""
    a, b, c = (number(rng, 2) for _ in range(3))
    op, op2 = (str(v) for v in rng.choice(np.array(["+", "-"]), 2))
    forms = (
        f"{a}{x} {op} {b} = {c}", f"{a}{x}^2 {op} {b}{x} {op2} {c}", f"{x}^2 {op} {a}{x} = {b}",
        f"{x} {op} {a}", f"{a}{x} {op} {b}{x}", f"{x} = {op}{a}", f"{a}({x} {op} {b})",
        f"{a} {op} {x} = {b}", f"{x}{op}{a}={b}", f"{a} × {x}",
    )  # fmt: skip
    return forms[int(rng.integers(len(forms)))]


def _short(rng: np.random.Generator) -> str:
    """A short piece of a sum: signs and single digits, close or wide apart."""
    a, b, c = (number(rng, 2) for _ in range(3))
    room = " " if rng.random() < 0.6 else ""
    op, op2 = (str(v) for v in rng.choice(np.array(list("+-×÷/=<>→:*")), 2))
    forms = (
        f"{a}{room}{op}{room}{b}", f"{op}{room}{a}", f"({a}{room}{op}{room}{b})", f"={room}{a}",
        f"{a}{room}{op}{room}{b}{room}{op2}{room}{c}", f"({a})", f"{a}{room}{op}", f"-{a}",
        f"({a}{room}{op}{room}{b}){room}{op2}{room}({b}{room}{op}{room}{c})", _listed(rng, room),
    )  # fmt: skip
    return forms[int(rng.integers(len(forms)))]


def _listed(rng: np.random.Generator, room: str) -> str:
    """Numbers between commas, at times in brackets or quotes."""
    quote = "'" if rng.random() < 0.2 else ""
    some = [f"{quote}{number(rng, 2)}{quote}" for _ in range(int(rng.integers(2, 7)))]
    text = f",{room}".join(some)
    return f"[{text}]" if rng.random() < 0.4 else text


_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XX", "XV")


def roman(rng: np.random.Generator) -> list[str]:
    """Some numerals in a row as lists and clocks have them, or by lot."""
    count = int(rng.integers(3, len(_ROMAN) - 2))
    if rng.random() < 0.6:
        start = int(rng.integers(0, 3))
        return list(_ROMAN[start : start + count])
    return [_chosen(rng, list(_ROMAN)) for _ in range(count)]


def sentence(rng: np.random.Generator, length: int, numbers: float) -> str:
    """Words of about so many characters together, a share of them `numbers`."""
    parts: list[str] = []
    while sum(map(len, parts)) + len(parts) < length:
        text = figure(rng) if rng.random() < numbers else word(rng)
        if rng.random() < 0.08 and text[-1].isalpha():
            text += str(rng.choice(np.array([".", ",", "!", "?", ":"])))
        parts.append(text)
    return " ".join(parts)
