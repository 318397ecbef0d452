"""Values of command-line options, read before the configuration sees them."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

import typer

from audit.errors import ConfigError

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def split_list(text: str | None) -> list[str] | None:
    """`a,b` -> [a, b]."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def split_numbers(option: str, text: str | None) -> list[int] | None:
    """`0,1` -> [0, 1]. Raises ConfigError."""
    parts = split_list(text)
    if parts is None:
        return None
    numbers = []
    for part in parts:
        try:
            numbers.append(int(part))
        except ValueError:
            raise ConfigError(f"{option}: {part!r} is not a whole number; write e.g. {option} 0,1") from None
    return numbers


def read_baseline(text: str | None) -> dict[str, Any]:
    """`MODEL:OPTIMIZER`. Raises ConfigError."""
    if text is None:
        return {}
    model, separator, optimizer = text.rpartition(":")  # the model may have one: monai:DenseNet121:adam
    if not separator:
        raise ConfigError(f"--baseline: {text!r} has no optimizer; write e.g. --baseline resnet50:adam")
    return {"baseline.model": model, "baseline.optimizer": optimizer}


def read_settings(pairs: list[str]) -> dict[str, Any]:
    """`--set a.b=value`, value as YAML. Raises ConfigError."""
    import yaml

    from audit.config import YAML_PROBLEMS

    settings: dict[str, Any] = {}
    for pair in pairs:
        field, separator, value = pair.partition("=")
        if not separator:
            raise ConfigError(f"--set: {pair!r} has no value; write e.g. --set training.epochs=10")
        if not field:
            raise ConfigError(f"--set: {pair!r} names no setting; write e.g. --set training.epochs=10")
        try:
            settings[field] = yaml.safe_load(value)
        except YAML_PROBLEMS:
            raise ConfigError(f"--set: {field}: {value!r} is not a YAML value") from None
    return settings


def shareable_command(arguments: list[str]) -> str:
    """The command for the report: of each path its last part only, as folders may name people."""
    parts = [re.sub(r"^((?:[\w.-]+=)*).*/", r"\1", argument.rstrip("/")) for argument in arguments]
    return shlex.join(["audit", *parts])
