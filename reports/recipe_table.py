"""The table of training recipes, with what a reader must know of them."""

from __future__ import annotations

from audit.results import AuditResult, Recipe
from reports import words
from reports.document import Block, Column, Table

NUMBERS = ("Learning rate", "Weight decay", "Dropout", "Epochs", "Batch")


def recipe_table(result: AuditResult) -> Block:
    """All recipes, apart from model, defence and seed; what none of them uses has no column."""
    recipes = [cell.recipe for cell in result.cells]
    columns = [
        ("Optimizer", 0.13, [r.optimizer for r in recipes]),
        ("Learning rate", 0.13, [f"{r.learning_rate:g}" for r in recipes]),
        *optional(
            "Weight decay",
            0.11,
            [None if r.weight_decay is None else f"{r.weight_decay:g}" for r in recipes],
            "default",
        ),
        *optional("Dropout", 0.13, [f"{r.dropout:g}" if r.dropout else None for r in recipes]),
        ("Schedule", 0.15, [r.schedule for r in recipes]),
        ("Epochs", 0.12, [str(r.epochs) for r in recipes]),
        ("Batch", 0.10, [str(r.batch_size) for r in recipes]),
        ("Stem", 0.15, [r.stem for r in recipes]),
        ("Precision", 0.15, [cell.precision for cell in result.cells]),
        ("Augmentation", 0.22, [r.augmentation for r in recipes]),
    ]
    total = sum(width for _, width, _ in columns)
    rows = dict.fromkeys(zip(*[values for _, _, values in columns], strict=True))
    caption = f"Training recipes, {start_of(recipes)}, equal for all models and defences."
    return Table(
        caption,
        [
            Column(title, width / total, "right" if title in NUMBERS else "left")
            for title, width, _ in columns
        ],
        [list(row) for row in rows],
        memory_note(result),
    )


def optional(
    title: str, width: float, values: list[str | None], otherwise: str = "0"
) -> list[tuple[str, float, list[str]]]:
    """A column, if any recipe has a value for it."""
    return [(title, width, [value or otherwise for value in values])] if any(values) else []


def start_of(recipes: list[Recipe]) -> str:
    """From which weights the trainings began."""
    given = sum(recipe.weights is not None for recipe in recipes)
    if not given:
        return "from random initial weights"
    some = "" if given == len(recipes) else f" in {given} of {len(recipes)} trainings"
    return f"from weights in a file of the user's{some}"


def memory_note(result: AuditResult) -> str:
    """Which trainings ran in smaller parts for lack of memory."""
    parts = sorted({cell.micro_batch for cell in result.cells if cell.micro_batch is not None})
    if not parts:
        return ""
    short = sum(cell.micro_batch is not None for cell in result.cells)
    return (
        f"Memory was short in {words.count(short, 'training')}: batches went through the network in parts of "
        f"{words.listed([str(part) for part in parts])} images, gradients added up; batch norm saw the parts."
    )
