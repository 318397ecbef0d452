"""Catalogues of sentences in other languages, and how a text is matched with their entries.

The files of `reports/catalogue_<language>/` hold sentences and phrases in English, with holes for what varies, and the
same in the other language.

Holes of an English entry: `{}` is translated in turn, `{n}` is a number, an interval or a list of numbers, `{k}` is a
name, kept as it is, `{l}` a list of names, `{t}` a name or a phrase of the catalogue, `{o}` anything that others wrote,
translated where it is known and else kept. `[s]` stands for a plural that may lack. The translation has `{}` in the
same order, or `{0}`, `{1}` in another one. A capital at the beginning and a full stop at the end need no entry of their
own. Names that are equal in both languages are entries too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import yaml

NUMBER = r"[−+±-]?\d+(?:[ \u00a0\u202f]\d{3}(?!\d))*(?:\.\d+)?(?:e[+-]?\d+)?"
VALUE = rf"{NUMBER}(?: %| points?)?(?: \({NUMBER}(?:–| to ){NUMBER}\))?(?: \[{NUMBER}; {NUMBER}\])?(?: [†*])?|undefined"
NUMBERS = rf"(?:{VALUE})(?:(?:, | and | to |–|; | / )(?:{VALUE}))*"
IS_NUMBERS = re.compile(NUMBERS)
QUICK_NUMBERS = r"[−+±-]?\d(?:[^A-Za-z]|to|and|points?|e)*?|undefined"
"""What NUMBERS fits and more: a tenth of the time to compile."""

HOLE = re.compile(r"\{[nklto]?\}")
PLURAL = "[s]"
LETTERS = re.compile(r"[A-Za-z]{2,}")
WORD = re.compile(r"[A-Za-zα]+")
TOKEN = re.compile(r"[^\s,;:()\[\]{}·+=…\"'!?×–—†、。（）：；「」〜]+")
NAME = re.compile(r"\d|_|/|\\|@|\w\.\w|^--|[a-z][A-Z]|^[A-Z]+s?$|[\ue000-\uf8ff]")

SCRIPT = r"\u3040-\u30ff\u4e00-\u9fff"  # kana and kanji
MARKS = "、。（）：；「」〜"
EDGE = "\x01"  # of what fills a hole

STOP = re.compile(r"[.!?]\)? ")
NO_STOP = re.compile(r"\b(?:No|Fig|Figs|Art|Arts|Sec|Dr|St|vs|cf|al|approx|etc|ca|p|e\.g|i\.e)\.$")
STARTS = re.compile(r"[A-Z†α\"'(\[\d\ue000-\uf8ff]|px: |none: |n = |padding or borders ")
"""How a sentence of a report begins."""


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
        return [piece for part in HOLE.split(self.source) for piece in part.split(PLURAL) if piece]

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
    return re.compile("".join(parts).replace(re.escape(PLURAL), "s?"), re.DOTALL)


class Catalogue:
    """Sentences of one language."""

    def __init__(self, pairs: dict[str, str]) -> None:
        self.pairs = pairs
        self.names = frozenset(name for name, same in self.pairs.items() if name == same)
        self.targets = list(self.pairs.values())
        self.exact: dict[str, str] = {}
        self.by_word: dict[str, list[Template]] = {}
        for source, target in self.pairs.items():
            if HOLE.search(source):
                template = Template(source, target)
                self.by_word.setdefault(template.key, []).append(template)
            else:
                for variant in (source.replace(PLURAL, ""), source.replace(PLURAL, "s")):
                    self.exact[variant] = target
        self.missed: set[str] = set()

    def candidates(self, text: str) -> list[Template]:
        """Templates that may fit, those that say most first."""
        words = {"", *WORD.findall(text)}
        found = [template for word in words for template in self.by_word.get(word, ())]
        return sorted(found, key=lambda template: (-template.letters, template.source))


def read(language: str) -> dict[str, str]:
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
def catalogue(language: str) -> Catalogue:
    """Read once."""
    return Catalogue(read(language))


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
    text = re.sub(
        rf"(?<=[{SCRIPT}]){EDGE}(?=[A-Za-z0-9(−+±-])|(?<=[A-Za-z0-9%)†]){EDGE}(?=[{SCRIPT}])", " ", text
    )
    text = re.sub(rf"(?<=[{SCRIPT}{MARKS}]) {EDGE}(?=[{SCRIPT}{MARKS}])", "", text)
    text = re.sub(rf"(?<=[{SCRIPT}{MARKS}]){EDGE} (?=[{SCRIPT}{MARKS}])", "", text)
    return text.replace(EDGE, "")


def full_stop(text: str) -> str:
    """With one at the end."""
    return text if text.endswith(("。", "：")) else f"{text}。"
