"""`audit models` as a person sees it."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from audit.training.model_costs import COUNTED_CHANNELS, COUNTED_CLASSES, COUNTED_SIZE, ModelCost

NOTES = (
    f"Parameters for {COUNTED_CLASSES} classes and {COUNTED_CHANNELS} channel. Cost: multiply-adds of one image of "
    f"{COUNTED_SIZE[0]} × {COUNTED_SIZE[1]} pixels forward (convolutions, linear layers, attention), published stem.",
    "From: pixels of the shorter side that the layers need; smaller images are enlarged to it, bilinearly.",
)
ELSEWHERE = (
    "MONAI          --models monai:DenseNet121",
    "timm           --models timm:convnext_tiny              (pip install 'imaging-audit[timm]')",
    "your own       --models package.module:factory          a function (n_classes, channels, (height, width)) "
    "-> nn.Module",
)


def show_models(console: Console, costs: Iterable[ModelCost], everything: bool) -> None:
    """The table, what its numbers are, and how to name what it does not list."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    table.add_column("title")
    for column in ("parameters", "cost", "from"):
        table.add_column(column, justify="right", no_wrap=True)
    for cost in costs:
        table.add_row(
            cost.name,
            cost.title,
            in_millions(cost.parameters),
            in_millions(cost.multiply_adds),
            f"{cost.smallest} px" if cost.smallest > 1 else "any",
        )
    console.print(table)
    all_of = (
        ()
        if everything
        else ("torchvision    any other of its classifiers; `audit models --all` lists them",)
    )
    for line in (*NOTES, *all_of, *ELSEWHERE):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def in_millions(count: int) -> str:
    """23508548 -> 23.5 M; below a hundred thousand with a digit more."""
    millions = count / 1e6
    return f"{millions:,.1f} M" if millions >= 10 else f"{millions:,.2f} M"
