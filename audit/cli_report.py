"""Commands for the report of an audit: `audit report`, `audit verify`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audit.command_options import AsJson
from audit.errors import EXIT_GATE_FAILED, ConfigError

PASSPHRASE = "AUDIT_SIGN_PASSPHRASE"


def report(
    run_dir: Annotated[Path, typer.Argument(help="A run directory with results.json.")],
    kind: Annotated[
        str, typer.Option("--format", help="pdf, html (one file) or md (for CI, beside its figures).")
    ] = "pdf",
    out: Annotated[
        Path | None, typer.Option(help="The file to write (default report.<format> in the run directory).")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or ja.")] = "en",
    sign: Annotated[
        Path | None,
        typer.Option(help=f"Sign the PDF with this PKCS #12 file; passphrase in {PASSPHRASE}, or asked for."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the figures and the report again, from results.json alone."""
    from audit.results import AuditResult
    from reports import KINDS, LANGUAGES, write_report_as

    known = next((name for name in KINDS if name == kind), None)
    if known is None:
        raise ConfigError(f"--format: unknown format {kind!r}; write one of {', '.join(KINDS)}")
    language = next((name for name in LANGUAGES if name == lang), None)
    if language is None:
        raise ConfigError(f"--lang: unknown language {lang!r}; write one of {', '.join(LANGUAGES)}")
    if sign is not None and known != "pdf":
        raise ConfigError(f"--sign: only a PDF can be signed, not {known}; leave out --format or --sign")
    signed = (
        None if sign is None else signing(sign)
    )  # the key first: nothing is written where it cannot be had
    path = write_report_as(known, AuditResult.load(run_dir / "results.json"), run_dir, out, language)
    if signed is not None:
        signed(path)
    typer.echo(json.dumps({"report": str(path)}) if as_json else str(path))


def signing(certificate: Path) -> Callable[[Path], None]:
    """What signs a report. Raises ConfigError where the extra is not installed, or the key cannot be had."""
    try:
        from reports.signing import load_signer, sign_report
    except ImportError:
        raise ConfigError("--sign: pyHanko is not installed; pip install 'imaging-audit[sign]'") from None
    signer = load_signer(certificate, passphrase(certificate))
    return lambda report: sign_report(report, signer)


def passphrase(certificate: Path) -> str:
    """From the environment, else asked for; never an argument, which others could read in the list of processes."""
    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE]
    if not sys.stdin.isatty():
        raise ConfigError(
            f"--sign: {certificate}: passphrase unknown; set {PASSPHRASE} (empty where there is none)"
        )
    return str(typer.prompt(f"passphrase of {certificate}", hide_input=True, default="", show_default=False))


def verify(
    file: Annotated[Path, typer.Argument(help="A PDF report.", show_default=False)],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the report again from the attached results, and compare.")
    ] = False,
    trust: Annotated[
        Path | None, typer.Option(help="PEM file of the certificates that a signature is to lead to.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a PDF report: attached files against their hashes, pages, signature (exit code 1 where something fails)."""
    from reports.verify import verify_report

    checks = verify_report(file, rebuild, trust)
    failed = [check for check in checks if check.status == "fail"]
    if as_json:
        typer.echo(
            json.dumps(
                {"file": str(file), "passed": not failed, "checks": [asdict(check) for check in checks]}
            )
        )
    else:
        from rich.console import Console

        from audit.terminal_verify import show_checks

        show_checks(Console(), [(check.what, check.status, check.detail) for check in checks])
        typer.echo(
            f"{file}: {len(failed)} of {len(checks)} checks failed" if failed else f"{file}: no check failed"
        )
    raise typer.Exit(EXIT_GATE_FAILED if failed else 0)
