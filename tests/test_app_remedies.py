"""What the page says instead of options and commands; whoever follows it gets on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import audit
from apps.remedies import said_here
from audit.errors import DataError
from tests.label_tables import read

COMMAND = re.compile(r"--\w|\baudit (run|scan|check|repair|plan|resume|data)\b|pip install")
PARTS = ("data", "checks", "scan")
NOT_ON_THE_PAGE = (  # about options that nobody gives there
    *("audit data download: ", "--size: ", "give it with --data"),
    *("--9-column and --9-column: both", "leave out --split-column"),
)


def sentences(source: str) -> Iterator[str]:
    """The texts of a module, without docstrings; what is filled in stands as 9."""
    tree = ast.parse(source)
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in node.values}
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "9" for v in node.values)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in parts | documents
        ):
            yield node.value


def test_no_text_about_images_names_a_command_on_the_page() -> None:
    root = Path(audit.__file__).parent
    texts = [
        text for part in PARTS for file in (root / part).glob("*.py") for text in sentences(file.read_text())
    ]
    commands = [text for text in texts if COMMAND.search(text) and " " in text]
    assert len(commands) > 8, "there are some on the command line"
    left = [text for text in map(said_here, commands) if COMMAND.search(text)]
    assert [text for text in left if not any(part in text for part in NOT_ON_THE_PAGE)] == []


@pytest.mark.parametrize(
    ("header", "refusal", "mended"),
    [
        (
            "Bild,Befund",
            "no column for the image or the label is recognised (columns found: Bild, Befund); call them image and "
            "label in its first line, and pack the folder again",
            "image,label",
        ),
        (
            "image,Befund",
            "no column for the label is recognised (columns found: image, Befund); call it label in its first line, "
            "and pack the folder again",
            "image,label",
        ),
        (
            "image,label,class",
            "several columns may hold the label (label, class); keep the name of one, rename the others, and pack "
            "the folder again",
            "image,label,old",
        ),
    ],
)
def test_a_table_is_mended_as_the_page_says(tmp_path: Path, header: str, refusal: str, mended: str) -> None:
    rows = "".join(f"{n}.png,{'AB'[n % 2]}{',x' * header.count('class')}\n" for n in range(6))
    with pytest.raises(DataError) as refused:
        read(tmp_path, f"{header}\n{rows}")
    assert said_here(str(refused.value)).endswith(refusal)
    assert len(read(tmp_path, f"{mended}\n{rows}").rows) == 6


@pytest.mark.parametrize(
    ("text", "here"),
    [
        (
            "at most 9: raise data.quotas.files if you trust it",
            "at most 9: who runs this server can raise data.quotas.files",
        ),
        (
            "scale the image down, or raise data.quotas.pixels",
            "scale the image down; who runs this server can raise data.quotas.pixels",
        ),
        (
            "several tables (a.csv, b.csv); say which holds the labels with --table",
            "several tables (a.csv, b.csv); leave only the one that holds the labels, and pack the folder again",
        ),
        (
            "convert them to one kind, or pass --set data.channels=1 or --set data.channels=3",
            "convert them to one kind",
        ),
        (
            "a raw file; pip install 'imaging-audit[oct-raw]', or export the scan as DICOM or PNG",
            "a raw file; who runs this server can install imaging-audit[oct-raw], or export the scan as DICOM or PNG",
        ),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_words_for_the_page(text: str, here: str) -> None:
    assert said_here(text) == here
