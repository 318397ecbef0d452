"""Configuration: what overrides what, and every refusal word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.config import load_config, nested
from audit.errors import ConfigError
from audit.settings import AuditConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(
    message: str,
    name: str = "oct",
    profile: str | None = None,
    file: Path | None = None,
    overrides: dict[str, Any] | None = None,
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(name, profile, file, overrides)
    assert str(refusal.value) == message
    assert refusal.value.exit_code == 2


# ---- precedence


def test_shipped_configuration_overrides_the_defaults() -> None:
    assert AuditConfig().data.channels is None
    assert load_config("oct").data.channels == 1
    assert load_config("derma").data.phantom == "derma"


def test_profile_overrides_the_defaults() -> None:
    """The thesis profile is the grid of chapter 4, with searches of 40 generations."""
    assert (AuditConfig().search.generations, AuditConfig().seeds) == (20, [0])
    found = load_config("oct", "thesis")
    assert (found.search.generations, found.seeds) == (40, [0, 1, 2])
    assert found.data.channels == 1, "oct.yaml shows through below the profile"


def test_file_overrides_the_profile_and_options_override_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "training: {epochs: 7, batch_size: 8}\nseeds: [4]\n")
    found = load_config("oct", "thesis", file, {"training.epochs": 9})
    assert (found.training.epochs, found.training.batch_size, found.seeds) == (9, 8, [4])
    assert found.search.generations == 40, "what the file leaves out is the profile's"


def test_lists_are_replaced_as_a_whole() -> None:
    assert load_config("oct", "thesis", overrides={"models": ["resnet18"]}).models == ["resnet18"]


def test_the_profile_may_stand_in_the_file(tmp_path: Path) -> None:
    """Also how the config.yaml of a run directory is taken up again."""
    file = write(tmp_path, "profile: thesis\n")
    assert load_config("oct", None, file).search.generations == 40
    assert load_config("oct", None, file).profile == "thesis"
    assert load_config("oct", "quick", file).profile == "quick", "the option wins"
    assert load_config("oct").profile == "standard"
    assert load_config("oct", overrides={"profile": "thesis"}).search.generations == 40


def test_a_saved_configuration_is_read_back_equal(tmp_path: Path) -> None:
    first = load_config("derma", "quick", overrides={"training.learning_rates.sgd": 0.5})
    file = write(tmp_path, yaml.safe_dump(first.model_dump(mode="json")))
    assert load_config("derma", None, file) == first


def test_null_takes_back_a_shipped_value() -> None:
    assert load_config("oct", overrides={"data.channels": None}).data.channels is None


# ---- refusals

MODELS = (
    "resnet50, densenet121, resnet18, small-cnn, graynet, colornet, mnist-cnn, cifar-cnn, resnet20, resnet32, "
    "densenet40, or another name of `audit models --all`"
)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("training.epoch", 3, "training.epoch: unknown key; did you mean 'epochs'?"),
        ("modles", [], "modles: unknown key; did you mean 'models'?"),
        ("controls.x", 1, "controls.x: unknown key; choose from methods, transfer_from, random_draws, scope"),
        ("controls.methods", ["shortcuts"], "controls.methods: unknown method 'shortcuts'; did you mean 'shortcut'?"),
        ("controls.methods", ["evoshift"],
         "controls.methods: 'evoshift' is the search itself, not a control; leave it out (search.enabled)"),
        ("augmentations", ["cutou"],
         "augmentations: unknown augmentation 'cutou'; did you mean 'cutout'?"),
        ("search.optimizer", "adm", "search.optimizer: unknown optimizer 'adm'; did you mean 'adam'?"),
        ("perturbed.fraction", 0, "perturbed.fraction: input should be greater than 0, got 0"),
        ("models", ["resnet5"], "models: unknown model 'resnet5'; did you mean 'resnet50'?"),
        ("models", ["xyz"], f"models: unknown model 'xyz'; choose from {MODELS}"),
        ("optimizers", ["adm"], "optimizers: unknown optimizer 'adm'; did you mean 'adam'?"),
        ("normalizations", ["cns"], "normalizations: unknown normalization 'cns'; did you mean 'csn'?"),
        ("baseline.model", "xyz", f"baseline.model: unknown model 'xyz'; choose from {MODELS}"),
        ("baseline.optimizer", "", "baseline.optimizer: unknown optimizer ''; choose from "
                                   "adam, adamw, adabound, rmsprop, sgd, sgd-m, nag"),
        ("models", ["resnet18", "resnet18"], "models: 'resnet18' stands twice; name it once"),
        ("seeds", [1, 2, 1], "seeds: 1 stands twice; name it once"),
        ("severities", [0, 0], "severities: 0 stands twice; name it once"),
        ("severities", [0, 11], "severities.1: input should be less than or equal to 10, got 11"),
        ("severities", [-1], "severities.0: input should be greater than or equal to 0, got -1"),
        ("seeds", [-1], "seeds.0: input should be greater than or equal to 0, got -1"),
        ("search.seed", -1, "search.seed: input should be greater than or equal to 0, got -1"),
        ("evaluation.seed", 2**32, "evaluation.seed: input should be less than 4294967296, got 4294967296"),
        ("training.learning_rates.adam", 0,
         "training.learning_rates: adam: a learning rate is above 0, got 0.0"),
        ("training.learning_rates.adm", 1,
         "training.learning_rates: unknown optimizer 'adm'; did you mean 'adam'?"),
        ("training.learning_rates.adam", float("nan"),
         "training.learning_rates.adam.0: input should be a finite number, got nan"),
        ("search.learning_rate", -1, "search.learning_rate: input should be greater than 0, got -1"),
        ("search.learning_rate", float("inf"),
         "search.learning_rate: input should be a finite number, got inf"),
        ("training.epochs", "many",
         "training.epochs: input should be a valid integer, unable to parse string as an integer, "
         "got 'many'"),
        ("training.epochs.x", 1, "training.epochs: input should be a valid integer, got {'x': 1}"),
        ("workers", 0, "workers: input should be greater than or equal to 1, got 0"),
        ("device", "tpu", "device: input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)  # fmt: skip
def test_refusal(field: str, value: object, message: str) -> None:
    refused(message, overrides={field: value})


@pytest.mark.parametrize(
    "section", ["data", "perturbed", "controls", "baseline", "search", "training", "evaluation"]
)
@pytest.mark.parametrize("value", [None, 5, [1], "x"])
def test_a_section_that_is_no_mapping(section: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{section}: input should be a valid dictionary "):
        load_config("oct", overrides={section: value})


def test_unknown_audit_and_profile() -> None:
    refused("unknown audit 'otc'; did you mean 'oct'?", "otc")
    refused("unknown audit 'mri'; choose from derma, oct", "mri")
    refused("unknown profile 'quik'; did you mean 'quick'?", "oct", "quik")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n- b\n", "expected `key: value` lines at the top level"),
        ("just words", "expected `key: value` lines at the top level"),
        ("a: [1\n", "not valid YAML (while parsing a flow sequence); mend the file"),
        ("a: 2021-99-99\n", "not valid YAML (month must be in 1..12); mend the file"),
        ("a: !!int ''\n", "not valid YAML (string index out of range); mend the file"),
    ],
)
def test_broken_file(tmp_path: Path, text: str, problem: str) -> None:
    file = write(tmp_path, text)
    refused(f"{file}: {problem}", "oct", None, file)


def test_unreadable_file(tmp_path: Path) -> None:
    refused(
        f"{tmp_path}: cannot be read (Is a directory); check the path given to --config",
        "oct",
        None,
        tmp_path,
    )
    gone = tmp_path / "gone.yaml"
    refused(
        f"{gone}: cannot be read (No such file or directory); check the path given to --config",
        "oct", None, gone,
    )  # fmt: skip
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config("oct", None, file)


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config("oct", None, write(tmp_path, "# nothing\n")) == load_config("oct")


# ---- whatever stands in a file


FIELDS = [*AuditConfig.model_fields, "epochs", "path", "model", "learning_rates", "adam", "random_draws", "x"]
Keys = st.sampled_from(FIELDS) | st.text(max_size=4) | st.integers() | st.none() | st.booleans()
Scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.binary(max_size=3)
)
Values = st.recursive(
    Scalars | st.sampled_from(["adam", "resnet50", "quick", "auto"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(Keys, below, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(Keys, Values, max_size=4), st.sampled_from(FIELDS), Values)
@example({"training": {None: 1}}, "x", 1)
@example({"training": {5: 1}}, "training", {3: {}})
@example({"training": 5}, "training", None)
@example({None: None}, "data", {"path": "\0"})
@example({"profile": ["quick"]}, "name", 5)
@example({"a\nb": 1}, "name", "x")
def test_any_mapping_is_valid_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: dict[object, object], field: str, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        found = load_config("oct", None, file, {field: value, f"training.{field}": value})
    except ConfigError as refusal:
        assert str(refusal).isprintable()
    else:
        assert isinstance(found, AuditConfig)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
@example("a: &x [*x]")
@example("data: &x {path: *x}")
@example("!!timestamp x")
@example("[" * 2000)
def test_any_text_is_valid_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        assert isinstance(load_config("oct", None, file), AuditConfig)
    except ConfigError as refusal:
        assert str(refusal)


def test_nested() -> None:
    assert nested("a.b.c", 1) == {"a": {"b": {"c": 1}}}
    assert nested("a", {"b": 1}) == {"a": {"b": 1}}
