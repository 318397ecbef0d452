"""Remedies of the command line, said so that somebody with a browser alone can follow them."""

from __future__ import annotations

import re

AGAIN = "and pack the folder again"
RAISE = r"who runs this server can raise \1"
SAID_HERE = {  # what stands in a message: what stands on the page
    r", or raise (data\.quotas\.\w+)": rf"; {RAISE}",
    r"(?<!can )\braise (data\.quotas\.\w+)(?: if you trust it)?": RAISE,
    r"choose another --out, or say --fresh to begin anew": "start a new audit",
    r"give --(\w+)-column and --(\w+)-column": rf"call them \1 and \2 in its first line, {AGAIN}",
    r"give --(\w+)-column": rf"call it \1 in its first line, {AGAIN}",
    r"or the column of labels with --label-column": "or one column that is called label",
    r"name the right one with --label-column": f"call the right one label, rename this one, {AGAIN}",
    r" \(take one with --label-column\)": "",
    r"say which with --\w+-column": f"keep the name of one, rename the others, {AGAIN}",
    r"say which holds the labels with --table": f"leave only the one that holds the labels, {AGAIN}",
    r", or pass --set data\.channels=1 or --set data\.channels=3": "",
    r"pip install '(imaging-audit\[[\w-]+\])'": r"who runs this server can install \1",
    r"; scan them as they are: audit scan --size \d+": "",
    r"look at the flagged places with: audit scan; have them taken out in a copy with: audit repair; find out": (
        "look at the flagged places below; find out"
    ),
    r"; --set data\.unreadable=skip leaves them out and says so in the report": "",
    r"; --set data\.licence=\.\. puts it into the report": "",
}


def said_here(text: str) -> str:
    """Without options and commands, which have no place on a page."""
    for remedy, here in SAID_HERE.items():
        text = re.sub(remedy, here, text)
    return text
