"""The report in another language: every text passes through one catalogue on its way to paper.

The sections are built once, in English. A catalogue (the files of `reports/catalogue_<language>/`) holds sentences and
phrases with holes for what varies, and the same in the other language, so there is no second set of sentences in the
program. What the catalogue lacks stays English, and is counted in `missed`.

Holes of an English entry: `{}` is translated in turn, `{n}` is a number, an interval or a list of numbers, `{k}` is a
name, kept as it is, `{l}` a list of names, `{t}` a name or a phrase of the catalogue, `{o}` anything that others wrote,
translated where it is known and else kept.
`[s]` stands for a plural that may lack. The translation has `{}` in the same order, or `{0}`, `{1}` in another one.
Capitals at the beginning and full stops at the end need no entries of their own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

import yaml

from reports.document import Facts, Table

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")
CODES = {"en": "en-GB", "ja": "ja"}
"""As documents name their language (BCP 47)."""

KEPT = (
    "file",
    "kind",
    "align",
    "marks",
    "look",
    "alternatives_of",
)  # fields of blocks that are no text for readers
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

NUMBER = r"[−+±-]?\d+(?:[ \u00a0\u202f]\d{3}(?!\d))*(?:\.\d+)?(?:e[+-]?\d+)?"
VALUE = rf"{NUMBER}(?: %| points?)?(?: \({NUMBER}(?:–| to ){NUMBER}\))?(?: \[{NUMBER}; {NUMBER}\])?(?: [†*])?|undefined"
NUMBERS = rf"(?:{VALUE})(?:(?:, | and | to |–|; | / )(?:{VALUE}))*"
IS_NUMBERS = re.compile(NUMBERS)
QUICK_NUMBERS = r"[−+±-]?\d(?:[^A-Za-z]|to|and|points?|e)*?|undefined"
"""What NUMBERS fits and more: a tenth of the time to compile."""
HOLE = re.compile(r"\{[nklto]?\}")
NOT_IN = {"{k}": re.compile(r", |; |: | / | = "), "{t}": re.compile(r", |; |: | / | = "), "{l}": re.compile(r"; |: | = ")}
"""What a name does not hold, unless it is protected and a sign stands for it."""
TAIL = re.compile(rf"(.*[^\d\s]) ({NUMBERS})")
BRACKETED = re.compile(r"([^()]+) \(([^()]+)\)")
LETTERS = re.compile(r"[A-Za-z]{2,}")
WORD = re.compile(r"[A-Za-zα]+")
TOKEN = re.compile(r"[^\s,;:()\[\]{}·+=…\"'!?×–—†、。（）：；「」〜]+")
NAME = re.compile(r"\d|_|/|\\|@|\w\.\w|^--|[a-z][A-Z]|^[A-Z]+s?$|[\ue000-\uf8ff]")
SCRIPT = r"\u3040-\u30ff\u4e00-\u9fff"  # kana and kanji
MARKS = "、。（）：；「」〜"
SPOKEN = re.compile(f"[{SCRIPT}]")
EDGE = "\x01"  # of what fills a hole
STOP = re.compile(r"[.!?]\)? ")
NO_STOP = re.compile(r"(?:\b(?:No|Fig|Figs|Art|Arts|Sec|Dr|St|vs|cf|al|approx|etc|ca|p|e\.g|i\.e))\.$")
STARTS = re.compile(r"[A-Z†α\"'(\[\d\ue000-\uf8ff]|px: |none: |n = |padding or borders ")
LISTS = {"; ": "；", " · ": " · ", ", ": "、", " and ": "、", " / ": " / ", " + ": " + "}
SEPARATORS = ("; ", ", ", " and ", " / ", " + ", ": ", ". ", "· ", "(", ")")
LENIENT = 20  # letters that a sentence must hold to be said around a piece that is not known
NAME_SIGN = 0xE000  # of a private area: stands for a protected name with separators in it

ACTIVE: ContextVar[Language] = ContextVar("language", default="en")


@dataclass(frozen=True)
class Template:
    """One entry of the catalogue."""

    source: str
    target: str

    @cached_property
    def holes(self) -> list[str]:
        """Kinds of the holes of the source, in their order."""
        return HOLE.findall(self.source)

    def match(self, text: str) -> tuple[str, ...] | None:
        """What the holes hold in this text; None where it does not fit."""
        if not self.may_fit(text) or (text.endswith(".") and not self.source.endswith(".")):
            return None  # a full stop belongs to the sentence, not to its last hole
        for number in (QUICK_NUMBERS, NUMBERS):
            match = pattern_of(self.source, number).fullmatch(text)
            if match is None:
                return None
            pieces = match.groups()
            held = zip(self.holes, pieces, strict=True)
            if all(hole != "{n}" or IS_NUMBERS.fullmatch(piece) for hole, piece in held):
                return pieces
        return None

    @cached_property
    def pieces(self) -> list[str]:
        """What stands between the holes."""
        return [piece for part in HOLE.split(self.source) for piece in part.split("[s]") if piece]

    def may_fit(self, text: str) -> bool:
        """Whether the text holds all pieces in their order: cheaper than the pattern, which few get to need."""
        end = 0
        for piece in self.pieces:
            start = text.find(piece, end)
            if start < 0:
                return False
            end = start + len(piece)
        return True

    @cached_property
    def letters(self) -> int:
        """How much the entry says by itself."""
        return sum(map(len, LETTERS.findall(HOLE.sub(" ", self.source))))

    @cached_property
    def key(self) -> str:
        """Its longest word, which a text must hold; empty where it has none."""
        lasting = re.sub(r"\w+\[s\]", " ", HOLE.sub(" ", self.source))
        return max(WORD.findall(lasting), key=len, default="")


@cache  # compiled when it is first needed: a report asks for few of all
def pattern_of(source: str, number: str = NUMBERS) -> re.Pattern[str]:
    """'{n} of {n} failed' -> a pattern that captures both."""
    parts, end = [], 0
    for hole in HOLE.finditer(source):
        parts += [re.escape(source[end : hole.start()]), f"({number})" if hole[0] == "{n}" else "(.+?)"]
        end = hole.end()
    parts.append(re.escape(source[end:]))
    return re.compile("".join(parts).replace(re.escape("[s]"), "s?"), re.DOTALL)


class Catalogue:
    """Sentences of one language."""

    def __init__(self, language: Language) -> None:
        self.pairs = read(language)
        self.names = frozenset(name for name, same in self.pairs.items() if name == same)
        self.targets = list(self.pairs.values())
        self.exact: dict[str, str] = {}
        self.by_word: dict[str, list[Template]] = {}
        for source, target in self.pairs.items():
            if HOLE.search(source):
                template = Template(source, target)
                self.by_word.setdefault(template.key, []).append(template)
            else:
                for variant in (source.replace("[s]", ""), source.replace("[s]", "s")):
                    self.exact[variant] = target
        self.missed: set[str] = set()

    def candidates(self, text: str) -> list[Template]:
        """Templates that may fit, those that say most first."""
        words = {"", *WORD.findall(text)}
        found = [template for word in words for template in self.by_word.get(word, ())]
        return sorted(found, key=lambda template: (-template.letters, template.source))


def read(language: Language) -> dict[str, str]:
    """All files of the catalogue together. Raises ValueError where two hold the same entry."""
    folder = resources.files("reports") / f"catalogue_{language}"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    pairs: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda file: file.name):
        if not entry.name.endswith(".yaml"):
            continue
        found = yaml.load(entry.read_text(encoding="utf-8"), loader) or {}
        repeated = sorted(pairs.keys() & found.keys())
        if repeated:
            raise ValueError(f"{entry.name}: {repeated[0]!r} stands in another file of the catalogue too")
        pairs |= found
    return pairs


@cache
def catalogue(language: Language) -> Catalogue:
    """Read once."""
    return Catalogue(language)


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
        if text in self.protected or bare in self.protected or text in self.signs.values():
            return True
        if bare.endswith("…") and any(name.startswith(bare[:-1]) for name in self.protected):
            return True
        parts = text.split(", ")
        return len(parts) > 1 and all(part in self.protected for part in parts)

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
        pieces = []
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
                self.catalogue.missed.add(piece)
            pieces.append(said)
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
                parts = [self.known(part) for part in split_outside(text, separator)]
                if all(parts):
                    return sign.join(part for part in parts if part)
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

    def neutral(self, text: str) -> bool:
        """Whether there is nothing to translate: names, numbers, hashes, files, commands, text of this language."""
        if text in self.catalogue.exact:
            return text in self.catalogue.names
        return all(
            not LETTERS.search(token) or token in self.catalogue.names or looks_like_a_name(token)
            for token in TOKEN.findall(text)
        )


def looks_like_a_name(token: str) -> bool:
    """resnet50, N_p, runs/a.json, --set: with a sign in it that no word has."""
    return NAME.search(token) is not None


def sentences(text: str) -> list[str]:
    """Cut where one ends and another begins, and not behind 'No.' or in '95 %.'."""
    parts, start = [], 0
    for stop in STOP.finditer(text):
        before = text[start : stop.end() - 1]
        if STARTS.match(text, stop.end()) and not NO_STOP.search(before):
            parts.append(before)
            start = stop.end()
    return [*parts, text[start:]]


def split_outside(text: str, separator: str) -> list[str]:
    """Cut at a separator, and not inside of brackets."""
    parts, depth = [""], 0
    for piece in text.split(separator):
        parts[-1] += (separator if depth else "") + piece
        depth = parts[-1].count("(") - parts[-1].count(")")
        if depth <= 0:
            depth = 0
            parts.append("")
    return [part for part in parts if part]


def numbers(text: str) -> str:
    """'46.2 points (40.1 to 52.0)', '1, 2 and 5': what is between the numbers, never the numbers."""
    text = re.sub(r" points?\b", " ポイント", text)
    return text.replace(" to ", "〜").replace(" and ", ", ").replace("undefined", "定義されない")


def fill(target: str, pieces: list[str]) -> str:
    """The target with its holes filled: a space between Japanese and Latin script, none between Japanese and Japanese,
    whatever the holes hold."""
    text = target.format(*[f"{EDGE}{piece}{EDGE}" for piece in pieces])
    text = re.sub(rf"(?<=[{SCRIPT}]){EDGE}(?=[A-Za-z0-9(−+±-])|(?<=[A-Za-z0-9%)†]){EDGE}(?=[{SCRIPT}])", " ", text)
    text = re.sub(rf"(?<=[{SCRIPT}{MARKS}]) {EDGE}(?=[{SCRIPT}{MARKS}])", "", text)
    text = re.sub(rf"(?<=[{SCRIPT}{MARKS}]){EDGE} (?=[{SCRIPT}{MARKS}])", "", text)
    return text.replace(EDGE, "")


def full_stop(text: str) -> str:
    """With one at the end."""
    return text if text.endswith(("。", "：")) else f"{text}。"


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
