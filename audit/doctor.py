"""`audit doctor`: what this machine has, for those who wonder why something is slow or refused."""

from __future__ import annotations

from importlib.util import find_spec

from audit.data.decoders import decoders
from audit.engines import choose_device
from audit.environment import describe_environment
from audit.recipe import Record
from audit.results import Environment

EXTRAS = {  # package -> extra of ours that brings it, and for what
    "timm": ("timm", "models called timm:NAME"),
    "medmnist": ("medmnist", "audit data download"),
    "oct_converter": ("oct-raw", "raw files of OCT devices"),
}


class Part(Record):
    """One thing that may be there."""

    name: str
    available: bool
    remedy: str  # how to get it


class Machine(Record):
    """What was found."""

    environment: Environment
    decoders: list[Part]  # transfer syntaxes of DICOM
    extras: list[Part]


def examine() -> Machine:
    """Look, without training anything."""
    rows = [
        Part(name=row.transfer_syntax, available=row.available, remedy=row.install or "")
        for row in decoders()
    ]
    extras = [
        Part(
            name=f"{extra}: {what}",
            available=find_spec(package) is not None,
            remedy=f"pip install 'imaging-audit[{extra}]'",
        )
        for package, (extra, what) in EXTRAS.items()
    ]
    device = choose_device("auto", False)
    return Machine(environment=describe_environment(device, 1), decoders=rows, extras=extras)
