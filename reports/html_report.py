"""The report as one self-contained HTML file: no script, no font, no picture from elsewhere. Light, dark and print."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from functools import singledispatchmethod
from pathlib import Path

from audit.errors import RunDirectoryError
from audit.results import AuditResult
from reports import words
from reports.attachments import Attachment
from reports.document import Bullets, Cover, Facts, Figure, Heading, Section, Shown, Table, Text
from reports.files import whole_file
from reports.language import code, say
from reports.references import MENTION
from reports.sections import FOOTER, TITLE, build_sections, cover
from reports.style import VERDICTS

SUBSCRIPTS = re.compile(r"([Nα])_([pSN])\b")

STYLE = """
:root { --ink: #1b1f24; --muted: #5a6470; --rule: #c9d0d8; --tint: #f1f4f7; --accent: #1f4e79; --alert: #a33b00;
  --alert-tint: #fbeee6; --page: #ffffff; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --muted: #a3adb8; --rule: #3a434d; --tint: #1e252d;
  --accent: #8fbbe6; --alert: #ff9d6b; --alert-tint: #33241c; --page: #12171c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1, h2 { color: var(--accent); line-height: 1.25; }
h2 { margin-top: 3rem; border-top: 1px solid var(--rule); padding-top: 1.25rem; }
a { color: var(--accent); }
.muted, .note, figcaption { color: var(--muted); font-size: 0.875rem; }
.verdict { display: inline-block; padding: 0.4rem 0.9rem; color: #ffffff; font-weight: 700; border-radius: 0.25rem; }
.banner { border-left: 4px solid var(--alert); background: var(--tint); padding: 0.6rem 0.9rem; }
.lead { font-size: 1.15rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
caption { text-align: left; font-weight: 600; padding: 0.5rem 0; }
th, td { padding: 0.3rem 0.5rem; border-bottom: 1px solid var(--rule); vertical-align: top; text-align: left; }
th { overflow-wrap: normal; }
thead th { background: var(--tint); }
.right { text-align: right; font-variant-numeric: tabular-nums; }
td.right { white-space: nowrap; }
.center { text-align: center; }
tr.strong { font-weight: 700; } tr.muted td { background: var(--tint); } tr.alert td { background: var(--alert-tint); }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; background: #ffffff; padding: 0.5rem; }
footer { margin-top: 4rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
@media print { body { max-width: none; padding: 0; } h2, caption { break-after: avoid; }
  tr, figure { break-inside: avoid; } }
"""


def write_html(
    result: AuditResult,
    path: Path,
    figures: list[Figure],
    figure_folder: Path,
    files: Sequence[Attachment] = (),
) -> None:
    """Replace `path` in one step. Equal input gives equal bytes."""
    page = html_page(result, figures, figure_folder, files)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def html_page(
    result: AuditResult, figures: list[Figure], figure_folder: Path, files: Sequence[Attachment]
) -> str:
    """The whole page."""
    sections, setter = build_sections(result, figures, files), HtmlSetter(figure_folder)
    title = f"{say(TITLE)}: {words.dataset_name(result.dataset)}"
    links = "".join(
        f'<li><a href="#section-{number}">{setter.text(section.heading)}</a></li>'
        for number, section in enumerate(sections, 1)
    )
    body = "".join(setter.section(number, section) for number, section in enumerate(sections, 1))
    return (
        f'<!doctype html>\n<html lang="{code()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{setter.text(title, False)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{setter.cover(cover(result))}"
        f'<nav aria-label="{say("Contents")}"><h2>{say("Contents")}</h2><ol>{links}</ol></nav>\n<main>\n{body}</main>\n'
        f'<footer class="muted">{say(TITLE)} · {setter.text(result.audit_id)} · {say(FOOTER)}'
        "</footer>\n</body>\n</html>\n"
    )


class HtmlSetter:
    """Sets blocks as HTML; every text is escaped here and nowhere else."""

    def __init__(self, figure_folder: Path) -> None:
        self.folder = figure_folder

    def text(self, text: str, markup: bool = True) -> str:
        """Escaped; with subscripts and links to sections."""
        escaped = html.escape("".join(sign if sign.isprintable() else " " for sign in text))
        if not markup:
            return escaped
        escaped = MENTION.sub(lambda m: f'<a href="#section-{m[1] or m[2]}">{m[0]}</a>', escaped)
        return SUBSCRIPTS.sub(r"\1<sub>\2</sub>", escaped)

    def cover(self, front: Cover) -> str:
        """Title, verdict, facts and notice."""
        banner = f'<p class="banner">{self.text(front.banner)}</p>\n' if front.banner else ""
        return (
            f'<header>\n<h1>{self.text(front.title)}</h1>\n<p class="muted">{self.text(front.subtitle)}</p>\n'
            f'<p><span class="verdict" style="background: {VERDICTS[front.look]}">'
            f"{self.text(front.verdict)}</span></p>\n<p>{self.text(front.verdict_text)}</p>\n{banner}"
            f'{self.set(front.facts)}<p class="note">{self.text(front.notice)}</p>\n</header>\n'
        )

    def section(self, number: int, section: Section) -> str:
        """Heading with an anchor, then the blocks."""
        blocks = "".join(self.set(block) for block in section.blocks)
        heading = f"<h2>{number}  {self.text(section.heading)}</h2>"
        return f'<section id="section-{number}">\n{heading}\n{blocks}</section>\n'

    @singledispatchmethod
    def set(self, block: object) -> str:
        """HTML of one block."""
        raise TypeError(f"no way to set {type(block).__name__}")

    @set.register
    def _(self, block: Text) -> str:
        label = f"<strong>{self.text(block.label)}</strong>  " if block.label else ""
        kind = "" if block.kind == "body" else f' class="{block.kind}"'
        return f"<p{kind}>{label}{self.text(block.text)}</p>\n"

    @set.register
    def _(self, block: Heading) -> str:
        return f"<h3>{self.text(block.text)}</h3>\n"

    @set.register
    def _(self, block: Bullets) -> str:
        tag = "ol" if block.numbered else "ul"
        return f"<{tag}>{''.join(f'<li>{self.text(item)}</li>' for item in block.items)}</{tag}>\n"

    @set.register
    def _(self, block: Facts) -> str:
        rows = "".join(
            f'<tr><th scope="row">{self.text(label)}</th><td>{self.text(value)}</td></tr>\n'
            for label, value in block.rows
        )
        return f'<div class="wide"><table>{rows}</table></div>\n'

    @set.register
    def _(self, block: Shown) -> str:
        figure, file = block.figure, self.folder / block.figure.file
        if not file.is_file():
            raise RunDirectoryError(f"{file}: figure is missing or damaged; write the report again")
        picture = base64.b64encode(file.read_bytes()).decode()
        return (
            f'<figure><strong>{self.text(figure.title)}</strong><br>\n<img src="data:image/svg+xml;base64,{picture}" '
            f'alt="{self.text(figure.alternative, False)}">\n'
            f"<figcaption>{self.text(figure.caption)}</figcaption></figure>\n"
        )

    @set.register
    def _(self, block: Table) -> str:
        classes = [f' class="{c.align}"' if c.align != "left" else "" for c in block.columns]
        head = "".join(
            f'<th scope="col"{kind}>{self.text(column.title)}</th>'
            for column, kind in zip(block.columns, classes, strict=True)
        )
        rows = []
        for index, row in enumerate(block.rows):
            mark = block.marks.get(index, "")
            cells = "".join(f"<td{kind}>{self.text(t)}</td>" for t, kind in zip(row, classes, strict=True))
            rows.append(f"<tr{f' class={mark!r}' if mark else ''}>{cells}</tr>\n")
        note = f'<p class="note">{self.text(block.note)}</p>\n' if block.note else ""
        return (
            f'<div class="wide"><table><caption>{self.text(block.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>{''.join(rows)}</tbody></table></div>\n{note}"
        )
