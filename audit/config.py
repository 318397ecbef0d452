"""What an audit is asked to do: YAML plus overrides -> `AuditConfig`.

Precedence, lowest first: the defaults below, `configs/<name>.yaml`, `configs/profiles/<profile>.yaml`, a
file given by the user, options of the command line. Unknown keys and bad values are named as
`field: message`. No torch import here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from audit.attack.methods import METHODS
from audit.errors import ConfigError
from audit.results import EVOSHIFT
from audit.training.augmentation import AUGMENTATIONS
from audit.training.external_models import is_factory
from audit.training.models import model_row
from audit.training.normalization import NORMALIZATIONS
from audit.training.optimizers import OPTIMIZERS

TRANSFER = "transfer"
Severity = Annotated[int, Field(ge=0, le=10)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what both numpy's and torch's generators take
YAML_PROBLEMS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises: its own errors, and Python's for scalars such as 2021-99-99 or `!!int ''`."""


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused; JSON has no infinity and no nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(Settings):
    """Which images, at which resolution."""

    path: Path | None = None  # None: phantoms
    phantom: Literal["oct", "derma"] = "oct"
    image_size: int = Field(64, ge=8, le=512)  # pixels, square
    channels: Literal[1, 3] | None = None  # None: as the images are
    n_train: int = Field(1200, ge=2)  # phantoms only, all classes together
    n_val: int = Field(0, ge=0)
    n_test: int = Field(400, ge=2)
    split_seed: Seed = 0  # splits of unsplit folders; content of phantoms
    licence: str | None = None


class ControlSettings(Settings):
    """Controls beside EvoShift (method §4)."""

    methods: list[str] = ["shortcut", "random"]
    transfer_from: Path | None = None  # an artefact whose perturbation is carried over to these images (2.9)
    random_draws: int = Field(1, ge=1, le=20)  # perturbations of the random control
    scope: Literal["baseline", "plain", "all"] = "plain"
    """Which pairs also train on the controls: only the baseline pair; every model with the baseline's
    optimizer and normalization; or every pair of the grid."""

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: list[str]) -> list[str]:
        if EVOSHIFT in names:
            raise ValueError(
                f"{EVOSHIFT!r} is the search itself, not a control; leave it out (search.enabled)"
            )
        return unique([known("method", name, METHODS) for name in names])

    @model_validator(mode="after")
    def _transfer_has_a_source(self) -> ControlSettings:
        if (TRANSFER in self.methods) != (self.transfer_from is not None):
            raise ValueError(f"methods: {TRANSFER!r} and transfer_from, its artefact, go together; set both")
        return self


class PerturbedSettings(Settings):
    """Which training images carry the perturbation (thesis 2.8.3)."""

    classes: list[str] = []  # names of the classes; empty: all of them
    fraction: float = Field(1.0, gt=0, le=1)  # of each such class's images


class BaselineSettings(Settings):
    """The pair that robustness scores are divided by (4.3), always without normalization."""

    model: str = "resnet50"
    optimizer: str = "adam"

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str, info: ValidationInfo) -> str:
        return known_model(name, info, "--baseline")

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        return known("optimizer", name, OPTIMIZERS)


class SearchSettings(Settings):
    """EvoShift and random search (method §3). Budget is stated in surrogate trainings."""

    enabled: bool = True  # False: controls only
    generations: int = Field(20, ge=1)  # at most
    budget: int | None = Field(None, ge=1)  # surrogate trainings at most, re-scoring included
    max_seconds: float | None = Field(
        None, gt=0
    )  # of surrogate training; the generation under way is finished
    flat_generations: int | None = Field(None, ge=1)  # stop when the median has not risen for so many
    population: int | None = Field(None, ge=4)  # None: CMA-ES's own default, at least 16
    fitness: Literal["cross-entropy", "probability"] = "probability"
    loss_weight: float = Field(2.0, ge=0)  # of the mean training loss, which is subtracted
    domain_weight: float = Field(0.0, ge=0)  # w of the domain divergence (2.7)
    surrogate: Literal["pooled", "strided", "graynet", "colornet"] = "pooled"
    optimizer: str = "adam"  # of the surrogates
    learning_rate: float | None = Field(None, gt=0)  # None: the surrogate's multiple of the optimizer's own
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where it is faster
    images: int = Field(512, ge=16)  # training images drawn for surrogates; a quarter is held out for fitness
    batch_size: int = Field(32, ge=2)
    steps: int = Field(200, ge=1)  # of each surrogate, its learning rate falling to zero (cosine)
    fit_accuracy: float = Field(0.95, gt=0, le=1)  # over its last steps; below it, a surrogate is unfit
    finalists: int = Field(3, ge=0)  # scored again, beside the final mean
    rescoring_seeds: int = Field(3, ge=1)  # of the better half; the first one decides which half that is
    seed: Seed = 0

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        return known("optimizer", name, OPTIMIZERS)


class TrainingSettings(Settings):
    """Recipe shared by all cells."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(32, ge=2)
    stem: Literal["published", "half", "full"] = "published"
    schedule: Literal["constant", "cosine"] = "constant"
    learning_rates: dict[str, float] = {}  # optimizer -> learning rate, where not its default
    augmentation: str = "none"  # of the victims, and of the surrogates that stand for them
    oversample: bool = True  # rare classes up to the largest (thesis 4.3)

    @field_validator("augmentation")
    @classmethod
    def _known_augmentation(cls, name: str) -> str:
        return known("augmentation", name, AUGMENTATIONS)

    @field_validator("learning_rates")
    @classmethod
    def _known_optimizers(cls, rates: dict[str, float]) -> dict[str, float]:
        for name, rate in rates.items():
            known("optimizer", name, OPTIMIZERS)
            if rate <= 0:
                raise ValueError(f"{name}: a learning rate is above 0, got {rate}")
        return rates


class EvaluationSettings(Settings):
    """How trainings are measured, fixed beforehand."""

    batch_size: int = Field(100, ge=2)  # matters for `csn`, whose output depends on the batch
    monitor_images: int = Field(256, ge=16)  # training images read after each epoch for fit and batch norm
    drop_tolerance: float = Field(0.10, ge=0, le=1)  # a loss of accuracy below this is tolerated
    min_clean_above_chance: float = Field(0.20, ge=0, le=1)  # else no verdict is given
    bootstrap: int = Field(4000, ge=200)  # resamples
    seed: Seed = 0


class AuditConfig(Settings):
    """Everything that defines an audit."""

    name: str = "oct"
    profile: str = "standard"
    data: DataSettings = DataSettings()
    models: list[str] = Field(["resnet50", "densenet121"], min_length=1)
    optimizers: list[str] = Field(["adam", "adabound", "sgd", "sgd-m"], min_length=1)
    normalizations: list[str] = Field(["none", "csn"], min_length=1)
    severities: list[Severity] = Field([0, 1, 2, 5], min_length=1)
    seeds: list[Seed] = Field([0], min_length=1)
    perturbed: PerturbedSettings = PerturbedSettings()
    controls: ControlSettings = ControlSettings()
    baseline: BaselineSettings = BaselineSettings()
    search: SearchSettings = SearchSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = Field(None, ge=1, le=256)  # None: one per core on a CPU, 1 on a GPU

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: list[str], info: ValidationInfo) -> list[str]:
        return unique([known_model(name, info, "--models") for name in names])

    @field_validator("optimizers")
    @classmethod
    def _known_optimizers(cls, names: list[str]) -> list[str]:
        return unique([known("optimizer", name, OPTIMIZERS) for name in names])

    @field_validator("normalizations")
    @classmethod
    def _known_normalizations(cls, names: list[str]) -> list[str]:
        return unique([known("normalization", name, NORMALIZATIONS) for name in names])

    @field_validator("severities", "seeds")
    @classmethod
    def _no_repeats(cls, values: list[int]) -> list[int]:
        return unique(values)

    def learning_rate(self, optimizer: str) -> float:
        """The learning rate of `optimizer` in this audit."""
        return self.training.learning_rates.get(optimizer, OPTIMIZERS[optimizer].learning_rate)


def unique(values: list[Any]) -> list[Any]:
    """Refuse repeated values: a cell trained twice would count twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} stands twice; name it once")
    return values


def known(kind: str, name: str, table: Mapping[str, object]) -> str:
    """Refuse a name that is not in the table, with the nearest that is. Raises ValueError."""
    if name in table:
        return name
    raise ValueError(f"unknown {kind} {name!r}; {nearest(name, list(table))}")


def known_model(name: str, info: ValidationInfo, option: str) -> str:
    """Refuse a classifier that `model_row` does not know, and code (`package.module:factory`) unless the
    validation's context allows it: a file that somebody sends must not run anything. Raises ValueError."""
    if is_factory(name) and not (info.context or {}).get("factories"):
        raise ValueError(f"{name!r} is code; it is accepted on the command line only ({option})")
    model_row(name)
    return name


def nearest(name: str, choices: list[str]) -> str:
    """'did you mean X?' or the list of choices."""
    close = difflib.get_close_matches(name.lower(), choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(choices)}"


def shipped(folder: str = "") -> list[str]:
    """Names of the configurations (or, with folder "profiles", of the profiles) that are installed."""
    root = resources.files("configs")
    place = root / folder if folder else root
    return sorted(entry.name[:-5] for entry in place.iterdir() if entry.name.endswith(".yaml"))


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
    field = ".".join(location)
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
