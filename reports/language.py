"""The report in another language: every text passes through one catalogue on its way to paper.

The sections are built once, in English, and said in the other language by the entries of a catalogue
(`reports.catalogue`), so there is no second set of sentences in the program. What the catalogue lacks stays English,
and is counted in its `missed`. Numbers, and names that somebody gave, are never changed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal

from reports.catalogue import (
    IS_NUMBERS,
    LETTERS,
    NUMBERS,
    SCRIPT,
    TOKEN,
    Catalogue,
    Template,
    catalogue,
    fill,
    full_stop,
    looks_like_a_name,
    numbers,
    sentences,
    split_outside,
)
from reports.document import Facts, Table

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")
CODES = {"en": "en-GB", "ja": "ja"}
"""As documents name their language (BCP 47)."""

KEPT = ("file", "kind", "align", "marks", "look")  # fields of blocks that are no text for readers
KEPT_COLUMNS = ("Hash", "File in the run directory", "File", "SHA-256")
NAMED_COLUMNS = ("Class",)
NAMED_FACTS = ("Dataset", "Data", "Source", "Licence", "Operator")
"""What stands in these is a name that somebody gave, or a phrase of the report of several words."""
PHRASE_COLUMNS = (
    "Trained on",
    "Reading",
    "Compared",
    "Result",
    "Perturbation",
    "Support",
    "On the front",
    "Kind",
)
"""What stands in these is never a name, even where a class is called so."""
KEPT_FACTS = (
    "Audit",
    "Date",
    "Command",
    "Dataset fingerprint",
    "Code fingerprint",
    "Configuration fingerprint",
    "Fingerprint",
    "Versions",
)

LISTS = {"; ": "；", " · ": " · ", ", ": "、", " and ": "、", " / ": " / ", " + ": " + "}
NOT_IN = {
    "{k}": re.compile(r", |; |: | / | = "),
    "{t}": re.compile(r", |; |: | / | = "),
    "{l}": re.compile(r"; |: | = "),
}
"""What a name does not hold, unless it is protected and a sign stands for it."""
TAIL = re.compile(rf"(.*[^\d\s]) ({NUMBERS})")
BRACKETED = re.compile(r"([^()]+) \(([^()]+)\)")
FACTORY = re.compile(r"[\w.]+:[\w.-]+")  # a model of the user's, or of a library
SPOKEN = re.compile(f"[{SCRIPT}]")
SEPARATORS = ("; ", ", ", " and ", " / ", " + ", ": ", ". ", "· ", " = ", "(", ")")
NAME_SIGN = 0xE000  # of a private area: stands for a protected name with one of these in it
TOGETHER = 3  # parts of a list that one entry may hold
LENIENT = 20  # letters that a sentence must hold to be said around a piece that is not known


class Speaker:
    """Says texts in one language; names that it must not touch are given. One report, one speaker."""

    def __init__(self, known: Catalogue, protected: Iterable[str] = ()) -> None:
        self.catalogue = known
        self.protected = sorted({name for name in protected if name}, key=lambda name: -len(name))
        # Names that hold what separates the parts of a list or sentence would be cut there.
        self.signs = {
            name: chr(NAME_SIGN + n)
            for n, name in enumerate(self.protected)
            if any(sign in name for sign in SEPARATORS)
        }
        self.names = {*self.protected, *self.signs.values()}
        self.said: dict[str, str] = {}
        self.phrases: dict[str, str | None] = {}

    def say(self, text: str) -> str:
        """The text in this language; what is not known stays as it is."""
        if text not in self.said:
            self.said[text] = self.masked(text, self.text)
        return self.said[text]

    def say_name(self, text: str) -> str:
        """A name, which stays as it is, or one of the report's own phrases of several words in its place."""
        if " " not in text or self.is_name(text):
            return text
        return self.masked(text, lambda masked: self.whole(masked) or masked)

    def say_phrase(self, text: str) -> str:
        """What is no name, even where a class is called so."""
        return self.masked(text, lambda masked: self.known(masked) or self.text(masked))

    def masked(self, text: str, translate: Callable[[str], str]) -> str:
        """Translated with a sign in the place of each protected name that would be cut."""
        for name, sign in self.signs.items():
            text = text.replace(name, sign)
        text = translate(text)
        for name, sign in self.signs.items():
            text = text.replace(sign, name)
        return text

    def is_name(self, text: str) -> bool:
        """Whether the text is a protected name, a list of them, or one as figures shorten and number it."""
        bare = re.sub(r" \d+$", "", text)
        if text in self.names or bare in self.names:
            return True
        if bare.endswith("…") and any(name.startswith(bare[:-1]) for name in self.protected):
            return True
        parts = text.split(", ")
        return len(parts) > 1 and all(part in self.names for part in parts)

    def text(self, text: str) -> str:
        """Whole, else sentence by sentence."""
        bare = text.strip()
        if not bare or self.is_name(bare):
            return text
        found = self.known(bare)
        return found if found is not None else self.by_sentence(bare)

    def by_sentence(self, text: str) -> str:
        """As many sentences as the catalogue knows together, again and again."""
        parts, said, first = sentences(text), "", 0
        while first < len(parts):
            for last in range(len(parts), first, -1):
                found = self.known(" ".join(parts[first:last]))
                if found is not None:
                    break
            else:
                last = first + 1
                found = self.around(parts[first])
            if found is None:
                found = parts[first]
                if not SPOKEN.search(found):
                    self.catalogue.missed.add(found)
            said += ("" if not said or said[-1] in "。：）" else " ") + found
            first = last
        return said

    def around(self, text: str) -> str | None:
        """A long sentence with pieces in it that are not known, which stay English and are counted."""
        for template in self.catalogue.candidates(text):
            if template.letters >= LENIENT and (said := self.filled(template, text, lenient=True)):
                return said
        if text.endswith(".") and (said := self.around(text[:-1])):
            return full_stop(said)
        return None

    def known(self, text: str) -> str | None:
        """The translation of a phrase or of sentences as one; None where some part of it is not known."""
        if text not in self.phrases:
            self.phrases[text] = None  # while it is being looked for
            self.phrases[text] = self.whole(text) if not self.neutral(text) else text
            if self.phrases[text] is None:
                self.phrases[text] = self.in_parts(text)
        return self.phrases[text]

    def whole(self, text: str) -> str | None:
        """By one entry of the catalogue, with another beginning or end where that is all it differs in."""
        found = self.entry(text)
        if found is not None:
            return found
        if text.endswith("."):
            found = self.whole(text[:-1])
            return None if found is None else full_stop(found)
        changed = text[:1].swapcase() + text[1:]
        for variant, end in ((text + ".", "。"), (changed, ""), (changed + ".", "。")):
            found = self.entry(variant)
            if found is not None:
                return found.removesuffix(end) if end else found
        return None

    def entry(self, text: str) -> str | None:
        """By one entry as it stands."""
        if text in self.catalogue.exact:
            return self.catalogue.exact[text]
        if IS_NUMBERS.fullmatch(text):
            return numbers(text)
        for template in self.catalogue.candidates(text):
            found = self.filled(template, text)
            if found is not None:
                return found
        return None

    def filled(self, template: Template, text: str, lenient: bool = False) -> str | None:
        """The target of an entry with what its holes hold here; None where it does not fit."""
        held = template.match(text)
        if held is None:
            return None
        pieces: list[str] = []
        unknown: list[str] = []
        for hole, piece in zip(template.holes, held, strict=True):
            if hole in NOT_IN and NOT_IN[hole].search(piece):
                return None
            if hole not in ("{n}", "{o}") and len(sentences(piece)) > 1:
                return None
            said = self.piece(hole, piece)
            if said is None:
                if not lenient:
                    return None
                said = piece
                unknown.append(piece)
            pieces.append(said)
        self.catalogue.missed.update(unknown)
        return fill(template.target, pieces)

    def piece(self, hole: str, text: str) -> str | None:
        """What one hole holds, by its kind."""
        if hole == "{n}":
            return numbers(text)
        if hole == "{k}":
            return text
        if hole == "{l}":
            return text.replace(" and ", "、").replace(", ", "、")
        found = self.known(text)
        return text if found is None and hole in ("{t}", "{o}") else found

    def in_parts(self, text: str) -> str | None:
        """A list whose parts are all known, a label with its value, a phrase with a number or brackets behind it."""
        for separator, sign in LISTS.items():
            if separator in text:
                parts = self.grouped(split_outside(text, separator), separator)
                if parts:
                    return sign.join(parts)
        head, colon, rest = text.partition(": ")
        for pair, joined in (
            ((head, rest) if colon else None, "{}：{}"),
            ((match[1], match[2]) if (match := TAIL.fullmatch(text)) else None, "{} {}"),
            ((match[1], match[2]) if (match := BRACKETED.fullmatch(text)) else None, "{}（{}）"),
        ):
            if pair is None:
                continue
            first, second = self.known(pair[0]), self.known(pair[1])
            if first is not None and second is not None:
                return joined.format(first, second)
        if text.endswith("."):
            found = self.in_parts(text[:-1])
            return None if found is None else full_stop(found)
        return None

    def grouped(self, parts: list[str], separator: str) -> list[str] | None:
        """Each part of a list, or some in a row that are known together ('row 3, col 4 = 1.00'); None where one is
        not known."""
        said, first = [], 0
        while first < len(parts):
            for last in range(first + 1, min(first + TOGETHER, len(parts)) + 1):
                if last - first == len(parts):  # the list itself
                    continue
                found = self.known(separator.join(parts[first:last]))
                if found is not None:
                    break
            else:
                return None
            said.append(found)
            first = last
        return said

    def neutral(self, text: str) -> bool:
        """Whether there is nothing to translate: names, numbers, hashes, files, commands, text of this language."""
        if text in self.catalogue.exact:
            return text in self.catalogue.names
        return all(
            not LETTERS.search(token) or token in self.catalogue.names or looks_like_a_name(token)
            for token in TOKEN.findall(FACTORY.sub(" ", text))
        )


ACTIVE: ContextVar[Language] = ContextVar("language", default="en")
SPEAKER: ContextVar[Speaker | None] = ContextVar("speaker", default=None)


@contextlib.contextmanager
def speaking(language: Language, protected: Iterable[str] = ()) -> Iterator[None]:
    """Everything written inside is in this language. `protected`: names that stay as they are, whatever the words in
    them mean (of the classes of the data set)."""
    token = ACTIVE.set(language)
    speaker = SPEAKER.set(None if language == "en" else Speaker(catalogue(language), protected))
    try:
        yield
    finally:
        SPEAKER.reset(speaker)
        ACTIVE.reset(token)


def say(text: str) -> str:
    """One text in the language of the report that is being written."""
    speaker = SPEAKER.get()
    return text if speaker is None else speaker.say(text)


def signs() -> list[str]:
    """Texts with every sign that the language may write."""
    language = ACTIVE.get()
    return [] if language == "en" else catalogue(language).targets


def code() -> str:
    """The language of the document."""
    return CODES[ACTIVE.get()]


def spoken(part: Any) -> Any:
    """The same block, section or cover with all of its texts in the language of the report."""
    speaker = SPEAKER.get()
    if speaker is None:
        return part
    if isinstance(part, str):
        return speaker.say(part)
    if isinstance(part, list | tuple):
        return type(part)(spoken(item) for item in part)
    if isinstance(part, Facts):
        return Facts([(speaker.say(label), spoken_fact(speaker, label, value)) for label, value in part.rows])
    if is_dataclass(part) and not isinstance(part, type):
        rows = spoken_rows(speaker, part) if isinstance(part, Table) else None
        changed = {
            f.name: spoken(getattr(part, f.name))
            for f in fields(part)
            if f.name not in KEPT and (rows is None or f.name != "rows")
        }
        return replace(part, **changed, **({} if rows is None else {"rows": rows}))
    return part


def spoken_fact(speaker: Speaker, label: str, value: str) -> str:
    """The value, by what its label says it is."""
    if label in KEPT_FACTS:
        return value
    return speaker.say_name(value) if label in NAMED_FACTS else speaker.say(value)


def spoken_rows(speaker: Speaker, table: Table) -> list[list[str]]:
    """Cells, by what the head of their column says they are."""
    heads = [column.title for column in table.columns]
    return [
        [
            cell
            if head in KEPT_COLUMNS
            else speaker.say_name(cell)
            if head in NAMED_COLUMNS or (head, row[0]) == ("Finding", "Licence")  # what a user wrote
            else speaker.say_phrase(cell)
            if head in PHRASE_COLUMNS
            else speaker.say(cell)
            for head, cell in zip(heads, row, strict=True)
        ]
        for row in table.rows
    ]
