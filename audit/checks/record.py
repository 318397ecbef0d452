"""What a check of the data says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audit.recipe import Record

Status = Literal["pass", "warn", "fail", "not run"]
SHOWN_IMAGES = 50


class CheckResult(Record):
    """One check. `images` names affected images, the first fifty; `affected` counts all."""

    name: str  # stable: "near-duplicates"
    title: str  # for people
    status: Status
    sentence: str  # the finding in plain words, with numbers
    remedy: str = ""  # what to do; empty where there is nothing to do
    header: list[str] = Field(default_factory=list)
    details: list[list[str]] = Field(default_factory=list)  # rows of a small table under `header`
    images: list[str] = Field(default_factory=list)
    affected: int = 0
