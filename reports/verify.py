"""Whether a PDF report still is what this program wrote: attached files against their hashes, pages against the
attached results, signatures."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import pikepdf
from pikepdf import Array, Object, Pdf

from audit.errors import DataError, RunDirectoryError
from audit.results import AuditResult
from reports.attachments import RESULTS, SUMS

Status = Literal["pass", "fail", "not checked"]


@dataclass(frozen=True)
class Check:
    """One fact about the file."""

    what: str
    status: Status
    detail: str


def verify_report(file: Path, rebuild: bool = False, trust: Path | None = None) -> list[Check]:
    """All checks of a PDF report. `rebuild` makes the report again from the attached results and compares; `trust` is a
    PEM file with certificates that signatures are to lead to. Raises DataError where the file is no report of this
    program."""
    content = read(file)
    attached = attached_files(file, content)
    result = results_of(file, attached)
    checks = [*hash_checks(attached), identity_check(content, result), *perturbation_checks(attached, result)]
    checks += [rebuild_check(content, attached, result)] if rebuild else []
    return [*checks, *signature_checks(content, trust)]


def read(file: Path) -> bytes:
    """The bytes of the file."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name a PDF report") from None


def attached_files(file: Path, content: bytes) -> dict[str, bytes]:
    """All attachments by name."""
    try:
        with Pdf.open(io.BytesIO(content)) as pdf:
            return {name: bytes(spec.get_file().read_bytes()) for name, spec in pdf.attachments.items()}
    except (pikepdf.PdfError, ValueError):
        raise DataError(f"{file}: no PDF, or a damaged one; get the report again") from None


def results_of(file: Path, attached: dict[str, bytes]) -> AuditResult:
    """The attached results."""
    missing = [name for name in (SUMS, RESULTS) if name not in attached]
    if missing:
        raise DataError(
            f"{file}: {' and '.join(missing)} not attached; this is no report of this program, or somebody has taken "
            "them out: write it again with audit report RUN"
        )
    try:
        return AuditResult.parse(attached[RESULTS], f"{file}: attached {RESULTS}")
    except RunDirectoryError as error:
        raise DataError(str(error)) from None


def hash_checks(attached: dict[str, bytes]) -> list[Check]:
    """Each line of SHA256SUMS, and files that stand in none."""
    lines = attached[SUMS].decode("utf-8", "replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}
    checks = []
    for name, digest in listed.items():
        if name not in attached:
            checks.append(Check(name, "fail", f"stands in {SUMS} and is not attached"))
        elif hashlib.sha256(attached[name]).hexdigest() != digest:
            checks.append(Check(name, "fail", f"is not the file whose hash stands in {SUMS}: it was changed"))
        else:
            checks.append(Check(name, "pass", f"SHA-256 as in {SUMS}"))
    strangers = sorted(set(attached) - set(listed) - {SUMS})
    return checks + [Check(name, "fail", f"is attached and does not stand in {SUMS}") for name in strangers]


def identity_check(content: bytes, result: AuditResult) -> Check:
    """Whether the document and the attached results are of one audit."""
    with Pdf.open(io.BytesIO(content)) as pdf:
        subject = str(pdf.docinfo.get("/Subject", ""))
    if result.audit_id in subject and result.finding.verdict in subject:
        return Check(
            "document", "pass", f"audit {result.audit_id}, {result.finding.verdict}: as the attached results"
        )
    return Check(
        "document",
        "fail",
        f"is of {subject or 'an unnamed audit'}, the attached results of {result.audit_id}",
    )


def perturbation_checks(attached: dict[str, bytes], result: AuditResult) -> list[Check]:
    """Whether each attached perturbation is the one that the results name by its own hash."""
    checks = []
    for record in result.perturbations:
        name = PurePath(record.file).name
        if name not in attached:
            checks.append(Check(name, "not checked", "was not attached when the report was written"))
            continue
        try:
            found = json.loads(attached[name])["perturbation"]
            digest = hashlib.sha256(
                json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
            ).hexdigest()
        except (ValueError, KeyError, TypeError):
            digest = ""
        same = digest == record.id
        detail = "the perturbation that the results name" if same else f"is not the perturbation {record.id}"
        checks.append(Check(f"{name}, edits", "pass" if same else "fail", detail))
    return checks


def rebuild_check(content: bytes, attached: dict[str, bytes], result: AuditResult) -> Check:
    """The same report made again. A signed file begins with what was signed: only that part is compared."""
    from reports import write_report_as
    from reports.language import CODES, LANGUAGES

    with Pdf.open(io.BytesIO(content)) as pdf:
        written = str(pdf.Root.get("/Lang", ""))
    language = next((name for name in LANGUAGES if CODES[name] == written), LANGUAGES[0])
    with tempfile.TemporaryDirectory() as folder:
        for record in result.perturbations:
            place = Path(folder) / record.file
            if place.name in attached and not Path(record.file).is_absolute() and ".." not in place.parts:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(attached[place.name])
        (Path(folder) / RESULTS).write_bytes(attached[RESULTS])
        made = write_report_as("pdf", result, Path(folder), None, language).read_bytes()
    rest = len(content) - len(made)
    if content[: len(made)] == made and (rest == 0 or b"/Sig" in content[len(made) :]):
        what = "" if rest == 0 else " up to its signature"
        return Check("pages", "pass", f"byte for byte what this program makes of the attached results{what}")
    return Check(
        "pages",
        "fail",
        "differ from what this program makes of the attached results: they were changed, or written with other "
        "versions of the program, its libraries or fonts",
    )


def is_signature(field: Object) -> bool:
    """Whether a field of the form holds a signature."""
    return field.get("/FT") == "/Sig" and "/V" in field


def signature_checks(content: bytes, trust: Path | None) -> list[Check]:
    """Every signature; where there is none, what that means."""
    with Pdf.open(io.BytesIO(content)) as pdf:
        form = pdf.Root.get("/AcroForm")
        signed = form is not None and any(is_signature(field) for field in form.get("/Fields", Array()))
    if not signed:
        return [
            Check(
                "signature",
                "not checked",
                "not signed: whoever changes a page and the hashes leaves no trace",
            )
        ]
    try:
        from reports.signing import check_signatures
    except ImportError:
        return [
            Check("signature", "not checked", "the file is signed; install imaging-audit[sign] to check it")
        ]
    return [Check("signature", status, detail) for status, detail in check_signatures(content, trust)]
