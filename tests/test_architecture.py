"""The map of CONTRIBUTING.md, enforced: who may import whom, and how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("audit", "apps", "reports", "configs")
OURS = (*PACKAGES, "tests", "benchmarks")
MAX_LINES = 400
HEAVY = ("torch", "torchvision", "monai", "matplotlib", "sklearn", "gradio", "reportlab")


@dataclass(frozen=True)
class Import:
    """One imported module, absolute; `inside` a function; `typing` for type checkers only."""

    file: str
    line: int
    module: str
    inside: bool
    typing: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    def of(self, *packages: str) -> bool:
        """Whether the module is one of these or lies below one."""
        return any(self.module == name or self.module.startswith(f"{name}.") for name in packages)


def imports_of(file: Path, root: Path = ROOT) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    name = file.relative_to(root).as_posix()
    yield from walk(tree, name, file.relative_to(root).parent.parts, False, False)


def walk(node: ast.AST, file: str, package: tuple[str, ...], inside: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, inside, typing)
        elif isinstance(child, ast.ImportFrom):
            above = package[: len(package) - child.level + 1] if child.level else ()
            base = ".".join([*above, *([child.module] if child.module else [])])
            for alias in child.names:  # `from audit import cli` imports audit.cli
                yield Import(file, child.lineno, f"{base}.{alias.name}", inside, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from walk(ast.Module([part], []), file, package, inside, True)
            for part in child.orelse:
                yield from walk(ast.Module([part], []), file, package, inside, typing)
        else:
            deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, file, package, deeper, typing)


def all_imports(*packages: str) -> list[Import]:
    found = [found for name in packages for file in (ROOT / name).rglob("*.py") for found in imports_of(file)]
    assert found or packages == ("apps",), "the walk found nothing: is the path right?"
    return found


def breaches(found: list[Import]) -> list[str]:
    return [str(one) for one in found]


def test_the_walk_sees_every_way_to_import(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "new.py"
    file.parent.mkdir()
    file.write_text(
        "from audit import cli\nimport audit.plan as p\nfrom . import figures\n"
        "def f():\n    try:\n        from audit.cells import run_cell\n    finally:\n        pass\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nelse:\n    import numpy\n"
    )
    assert [(i.line, i.module, i.inside, i.typing) for i in imports_of(file, tmp_path)] == [
        (1, "audit.cli", False, False),
        (2, "audit.plan", False, False),
        (3, "reports.figures", False, False),
        (6, "audit.cells.run_cell", True, False),
        (9, "typing.TYPE_CHECKING", False, False),
        (11, "torch", False, True),
        (13, "numpy", False, False),
    ]


def test_reports_know_records_and_errors_only() -> None:
    known = ("audit.results", "audit.errors", "audit.gate.record", "audit.gate.words")
    foreign = [i for i in all_imports("reports") if i.of("audit") and not i.of(*known)]
    assert breaches(foreign) == []


def test_reports_need_no_torch() -> None:
    assert breaches([i for i in all_imports("reports") if i.of("torch", "torchvision", "monai")]) == []


def test_only_the_command_line_presents_and_only_inside_its_commands() -> None:
    upward = [i for i in all_imports("audit") if i.of("reports", "apps")]
    assert any(i.file == "audit/cli_report.py" for i in upward), "the command line writes the report"
    assert (
        breaches([i for i in upward if not i.file.startswith("audit/cli") or not (i.inside or i.typing)])
        == []
    )


def test_apps_do_not_go_through_the_command_line() -> None:
    assert breaches([i for i in all_imports("apps") if i.of("audit.cli")]) == []


def test_nothing_but_the_entry_point_imports_the_command_line() -> None:
    importers = [i for i in all_imports("audit", "reports", "configs") if i.of("audit.cli")]
    assert {i.file for i in importers} == {"audit/__main__.py"}, breaches(importers)


def test_steps_do_not_reach_back_up() -> None:
    steps = [
        i
        for i in all_imports("audit/data", "audit/attack", "audit/training", "audit/evaluation")
        if not i.typing
    ]
    assert (
        breaches([i for i in steps if i.of("audit.runner", "audit.cli", "audit.terminal", "audit.engines")])
        == []
    )


def test_what_light_modules_reach_is_light() -> None:
    """results, errors, config, store and the package itself: read without torch, MONAI or a plot library,
    however deep."""
    for start in ("audit", "audit.results", "audit.errors", "audit.config", "audit.store", "audit.cli"):
        reached, waiting = set(), [start]
        while waiting:
            module = waiting.pop()
            file = source_of(module)
            if file is None or module in reached:
                continue
            reached.add(module)
            for found in imports_of(file):
                if found.inside or found.typing:
                    continue
                assert not found.of(*HEAVY), f"{start} reaches {found}"
                waiting += [found.module, found.module.rpartition(".")[0]]


def source_of(module: str) -> Path | None:
    """The file of one of our modules."""
    place = ROOT.joinpath(*module.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


def test_no_file_is_long() -> None:
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for package in OURS
        for file in (ROOT / package).rglob("*.py")
    }
    assert len(lengths) > 40
    assert {file: length for file, length in lengths.items() if length > MAX_LINES} == {}
