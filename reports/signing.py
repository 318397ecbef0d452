"""Signatures of PDF reports: with a PKCS #12 file, and their check. Needs the extra `sign` (pyHanko)."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Literal

from pyhanko.keys import load_certs_from_pemder
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.sign.validation import KeyUsageConstraints, validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from audit.errors import ConfigError
from reports.files import whole_file

FIELD = "Signature"
Outcome = Literal["pass", "fail"]
USAGE = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)

for _library in (
    "pyhanko",
    "pyhanko_certvalidator",
):  # they print tracebacks of what is said here in one line
    logging.getLogger(_library).setLevel(logging.CRITICAL)


def load_signer(certificate: Path, passphrase: str) -> signers.Signer:
    """Key and certificate of a PKCS #12 file. Raises ConfigError where they cannot be had."""
    if not certificate.is_file():
        raise ConfigError(f"--sign: {certificate}: no such file; name a PKCS #12 file (.p12, .pfx)")
    signer = signers.SimpleSigner.load_pkcs12(str(certificate), passphrase=passphrase.encode() or None)
    if signer is None:
        raise ConfigError(
            f"--sign: {certificate}: no PKCS #12 file, or another passphrase; check AUDIT_SIGN_PASSPHRASE"
        )
    return signer


def sign_report(report: Path, signer: signers.Signer) -> None:
    """Add an invisible signature to the file; its first bytes stay what they were."""
    writer = IncrementalPdfFileWriter(io.BytesIO(report.read_bytes()))
    reason = "Audit report as written"
    meta = signers.PdfSignatureMetadata(field_name=FIELD, reason=reason, md_algorithm="sha256")
    signed = signers.sign_pdf(writer, meta, signer=signer)
    with whole_file(report) as temporary:
        temporary.write_bytes(signed.getbuffer())


def check_signatures(content: bytes, trust: Path | None) -> list[tuple[Outcome, str]]:
    """("pass" or "fail", in words) for each signature. No revocation list is fetched."""
    roots = [] if trust is None else trusted(trust)
    try:
        signatures = PdfFileReader(io.BytesIO(content)).embedded_signatures
        return [check(signature, roots, trust) for signature in signatures]
    except (PdfError, SignatureValidationError, ValueError) as error:
        return [("fail", f"cannot be checked: {error}")]


def trusted(file: Path) -> list[object]:
    """The certificates of a PEM or DER file."""
    try:
        found = list(load_certs_from_pemder([str(file)]))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--trust: {file}: no certificate ({error}); name a PEM file") from None
    return found


def check(signature: object, roots: list[object], trust: Path | None) -> tuple[Outcome, str]:
    """One signature."""
    context = ValidationContext(trust_roots=roots, allow_fetching=False)
    status = validate_pdf_signature(signature, context, key_usage_settings=USAGE)
    subject = status.signing_cert.subject
    name = subject.native.get("common_name") or subject.human_friendly
    if not (status.intact and status.valid):
        return "fail", f"does not fit the file: it was changed after {name} signed it"
    if status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
        return "fail", f"covers only a part of the file: something was added after {name} signed it"
    when = (
        f" at {status.signer_reported_dt:%Y-%m-%d %H:%M} by the signer's clock"
        if status.signer_reported_dt
        else ""
    )
    if trust is None:
        return (
            "pass",
            f"the file is as {name} signed it{when}; who that is was not checked: name who is trusted with --trust",
        )
    if not status.trusted:
        return "fail", f"{name}, who signed it{when}, does not lead to a certificate in {trust}"
    return "pass", f"the file is as {name} signed it{when}; the certificate leads to {trust.name}"
