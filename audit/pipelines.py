"""`audit ci init`: a workflow for scheduled audits, its settings and its rules, written into a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from audit import __version__
from audit.config import GATE_FILE, load_config, shipped
from audit.errors import ConfigError
from audit.names import nearest
from audit.store import write_atomic

WORKFLOWS = {"github": Path(".github/workflows/audit.yml"), "gitlab": Path(".gitlab-ci.yml")}
SETTINGS, RULES, BASELINE = Path("audit.yaml"), Path("audit-gate.yaml"), Path("audit-baseline.json")
CRON = re.compile(r"[-\d*/,]+( [-\d*/,]+){2}( [-\w*/,]+){2}")


@dataclass(frozen=True)
class Pipeline:
    """What a workflow is written for."""

    service: str  # github, gitlab
    audit: str = "oct"
    schedule: str = "17 3 * * 1"
    max_age_days: int = 9

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        if self.service not in WORKFLOWS:
            raise ConfigError(f"unknown service {self.service!r}; {nearest(self.service, list(WORKFLOWS))}")
        if self.audit not in shipped():
            raise ConfigError(f"--audit: unknown audit {self.audit!r}; {nearest(self.audit, shipped())}")
        if not CRON.fullmatch(self.schedule):
            raise ConfigError(
                f"--schedule: {self.schedule!r} is not a cron line of five fields; write e.g. --schedule '17 3 * * 1'"
            )

    def fill(self, text: str) -> str:
        """A template with the names and numbers of this pipeline."""
        values = {
            "AUDIT": self.audit,
            "CRON": self.schedule,
            "DAYS": str(self.max_age_days),
            "VERSION": __version__,
            "CONFIG": SETTINGS.name,
            "RULES": RULES.name,
            "BASELINE": BASELINE.name,
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text


def write_pipeline(pipeline: Pipeline, root: Path, force: bool = False) -> tuple[list[Path], list[Path]]:
    """Write the workflow into the repository at `root`, and settings and rules where there are none yet. Returns what
    was written, and what was there and kept. Raises ConfigError where another workflow is there and not `force`."""
    configs = resources.files("configs")
    workflow = root / WORKFLOWS[pipeline.service]
    if workflow.exists() and not force:
        raise ConfigError(
            f"{workflow}: is there already; say --force to write it anew, or choose another --out"
        )
    wanted = {
        workflow: (configs / "ci" / f"{pipeline.service}.yml").read_text(encoding="utf-8"),
        root / SETTINGS: (configs / "ci" / SETTINGS.name).read_text(encoding="utf-8"),
        root / RULES: (configs / GATE_FILE).read_text(encoding="utf-8"),
    }
    kept = [path for path in wanted if path != workflow and path.exists()]
    if root / SETTINGS in kept:
        load_config(pipeline.audit, None, root / SETTINGS)  # better now than on a Monday night
    written = [path for path in wanted if path not in kept]
    for path in written:
        write_atomic(path, pipeline.fill(wanted[path]))
    return written, kept
