"""What an audit is asked to do: YAML plus overrides -> `AuditConfig`.

Precedence, lowest first: the defaults of `audit.settings`, `configs/<name>.yaml`,
`configs/profiles/<profile>.yaml`, a file given by the user, options of the command line. Unknown keys and bad
values are named as `field: message`. No torch import here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from audit.errors import ConfigError
from audit.names import dotted, nearest
from audit.settings import AuditConfig
from audit.training.external_models import is_factory

GATE_FILE = "gate.yaml"  # in the same folder; no audit
YAML_PROBLEMS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises: its own errors, and Python's for scalars such as 2021-99-99 or `!!int ''`."""


def shipped(folder: str = "") -> list[str]:
    """Names of the configurations (or, with folder "profiles", of the profiles) that are installed."""
    root = resources.files("configs")
    place = root / folder if folder else root
    names = (entry.name for entry in place.iterdir() if entry.name.endswith(".yaml"))
    return sorted(name[:-5] for name in names if name != GATE_FILE)


def load_config(
    name: str,
    profile: str | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> AuditConfig:
    """The resolved configuration. `overrides` maps dotted fields to values; only they may name code
    (`package.module:factory`), so they come from the command line. Raises ConfigError."""
    merged = read_shipped(name, "", "audit")
    asked = {} if file is None else read_yaml(file)
    typed: dict[str, Any] = {}
    for field, value in (overrides or {}).items():
        typed = merge(typed, nested(field, value))
    asked = merge(asked, typed)
    chosen = profile or str(asked.get("profile") or merged.get("profile", "standard"))
    merged = merge(merge(merged, read_shipped(chosen, "profiles", "profile")), asked)
    merged = merge(merged, {"name": name, "profile": chosen})
    return validated(merged, factories=factories_of(merged) <= factories_of(typed))


def load_written_config(file: Path) -> AuditConfig:
    """The `config.yaml` of a run directory, which holds every setting. Models that are code are refused: only the
    command line may name these. Raises ConfigError."""
    return validated(read_yaml(file))


def factories_of(raw: Mapping[str, Any]) -> set[str]:
    """The models of settings not yet checked that are code."""
    models, baseline = raw.get("models"), raw.get("baseline")
    names = [*(models if isinstance(models, list) else [])]
    names += [baseline.get("model")] if isinstance(baseline, Mapping) else []
    return {name for name in names if isinstance(name, str) and is_factory(name)}


def read_shipped(name: str, folder: str, what: str) -> dict[str, Any]:
    """One of the YAML files of the `configs` package."""
    if name not in shipped(folder):
        raise ConfigError(f"unknown {what} {name!r}; {nearest(name, shipped(folder))}")
    root = resources.files("configs")
    entry = (root / folder if folder else root) / f"{name}.yaml"
    return as_mapping(yaml.safe_load(entry.read_text(encoding="utf-8")), name)


def read_yaml(file: Path) -> dict[str, Any]:
    """A user's YAML file. Raises ConfigError naming the file."""
    try:
        return as_mapping(yaml.safe_load(file.read_text(encoding="utf-8")), str(file))
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror}); check the path given to --config"
        ) from None
    except YAML_PROBLEMS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{file}: not valid YAML ({reason}); mend the file") from None


def as_mapping(content: object, where: str) -> dict[str, Any]:
    """The top level of a configuration is `key: value`."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected `key: value` lines at the top level")
    return {str(key): value for key, value in content.items()}


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def nested(field: str, value: object) -> dict[str, Any]:
    """`a.b.c`, v -> {a: {b: {c: v}}}."""
    head, _, rest = field.partition(".")
    return {head: nested(rest, value) if rest else value}


def validated(raw: Mapping[str, Any], factories: bool = False) -> AuditConfig:
    """Check types, ranges and names; the first problem becomes `field: message`. `factories`: whether models
    may be code."""
    try:
        return AuditConfig.model_validate(dict(raw), context={"factories": factories})
    except ValidationError as error:
        problem = error.errors()[0]
        location = [str(part) for part in problem["loc"]]
        raise ConfigError(describe(location, problem["type"], problem["msg"], problem.get("input"))) from None


def describe(location: list[str], kind: str, message: str, value: object) -> str:
    """One line: the field, what is wrong with it, what would be right."""
    field = dotted(location)
    if kind == "extra_forbidden":
        siblings = fields_of(location[:-1])
        return f"{field}: unknown key; {nearest(location[-1], siblings)}"
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{field}: {message}" if kind == "value_error" else f"{field}: {message}, got {value!r}"


def fields_of(location: list[str]) -> list[str]:
    """Names of the settings that live at a dotted place."""
    model: type[BaseModel] = AuditConfig
    for part in location:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
