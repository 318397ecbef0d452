"""`audit verify`: what was changed in a report, its attachments or its signature is found; what was not, passes."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import pikepdf
import pytest

from audit.attack.perturbation import Perturbation
from audit.errors import DataError
from audit.results import AuditResult
from reports import write_report
from reports.verify import Check, verify_report
from tests.command_line import Command, make_command
from tests.results_factory import example_result

SMALL = {
    "models": ("resnet50",),
    "optimizers": ("adam",),
    "normalizations": ("none",),
    "methods": ("evoshift",),
}
UNSIGNED = Check(
    "signature", "not checked", "not signed: whoever changes a page and the hashes leaves no trace"
)


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


def with_perturbation(folder: Path) -> AuditResult:
    """A result whose one perturbation lies in the run directory, under its own hash."""
    result = example_result(**SMALL)
    (record,) = result.perturbations
    perturbation = Perturbation(
        image_size=record.image_size, channels=1, n_classes=4, edits=tuple(record.edits), fraction=1.0
    )
    place = folder / record.file
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"perturbation": perturbation.model_dump(mode="json")}))
    result = result.model_copy(update={"perturbations": [record.model_copy(update={"id": perturbation.id})]})
    result.save(folder / "results.json")
    return result


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One report with results and a perturbation attached."""
    folder = tmp_path_factory.mktemp("verify")
    return write_report(with_perturbation(folder), folder)


def outcomes(checks: list[Check]) -> dict[str, str]:
    return {check.what: check.status for check in checks}


def changed(report: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """The same file with another attachment of that name; None: taken out."""
    target = folder / "changed.pdf"
    with pikepdf.Pdf.open(report) as pdf:
        if content is None:
            del pdf.attachments[name]
        else:
            pdf.attachments[name] = pikepdf.AttachedFileSpec(pdf, content, filename=name)
        pdf.save(target)
    return target


def test_attached_files_are_those_of_the_run_directory(report: Path) -> None:
    with pikepdf.Pdf.open(report) as pdf:
        attached = {name: bytes(spec.get_file().read_bytes()) for name, spec in pdf.attachments.items()}
        assert [str(spec.AFRelationship) for spec in pdf.Root.AF] == ["/Source", "/Supplement", "/Supplement"]
    assert attached.pop("SHA256SUMS").decode().splitlines() == [
        f"{hashlib.sha256(attached[name]).hexdigest()}  {name}"
        for name in ("results.json", "evoshift-np1-0.json")
    ]
    assert attached == {
        "results.json": (report.parent / "results.json").read_bytes(),
        "evoshift-np1-0.json": (report.parent / "perturbations/evoshift-np1-0.json").read_bytes(),
    }


def test_hashes_stand_on_a_page(report: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    text = "".join(page.extract_text() for page in pypdf.PdfReader(report).pages)
    digest = hashlib.sha256((report.parent / "results.json").read_bytes()).hexdigest()
    assert digest in text.replace("\n", "")


def test_an_untouched_report_passes(report: Path) -> None:
    checks = verify_report(report, rebuild=True)
    assert outcomes(checks) == {
        "results.json": "pass",
        "evoshift-np1-0.json": "pass",
        "document": "pass",
        "evoshift-np1-0.json, edits": "pass",
        "pages": "pass",
        "signature": "not checked",
    }
    assert checks[-1] == UNSIGNED


def test_a_changed_result_is_found(report: Path, tmp_path: Path) -> None:
    content = (
        (report.parent / "results.json")
        .read_bytes()
        .replace(b'"profile": "standard"', b'"profile": "thesis"')
    )
    checks = verify_report(changed(report, tmp_path, "results.json", content))
    assert checks[0] == Check(
        "results.json", "fail", "is not the file whose hash stands in SHA256SUMS: it was changed"
    )


def test_results_of_another_audit_are_found_though_the_hashes_fit(report: Path, tmp_path: Path) -> None:
    other = AuditResult.load(report.parent / "results.json").model_copy(update={"audit_id": "f" * 16})
    content = other.model_dump_json(indent=1).encode()
    first = changed(report, tmp_path, "results.json", content)
    (tmp_path / "again").mkdir()
    with pikepdf.Pdf.open(first) as pdf:
        sums = pdf.attachments["SHA256SUMS"].get_file().read_bytes().decode().splitlines()
    sums[0] = f"{hashlib.sha256(content).hexdigest()}  results.json"
    both = changed(first, tmp_path / "again", "SHA256SUMS", ("\n".join(sums) + "\n").encode())
    found = outcomes(verify_report(both, rebuild=True))
    assert (found["results.json"], found["document"], found["pages"]) == ("pass", "fail", "fail")


def test_edits_that_are_not_those_of_the_results_are_found(report: Path, tmp_path: Path) -> None:
    name = "evoshift-np1-0.json"
    raw = json.loads((report.parent / "perturbations" / name).read_text())
    raw["perturbation"]["edits"][0]["row"] += 1
    found = outcomes(verify_report(changed(report, tmp_path, name, json.dumps(raw).encode())))
    assert (found[name], found[f"{name}, edits"]) == ("fail", "fail")


def test_files_too_many_and_too_few_are_found(report: Path, tmp_path: Path) -> None:
    more = verify_report(changed(report, tmp_path, "more.txt", b"?"))
    assert Check("more.txt", "fail", "is attached and does not stand in SHA256SUMS") in more
    less = verify_report(changed(report, tmp_path, "evoshift-np1-0.json", None))
    assert Check("evoshift-np1-0.json", "fail", "stands in SHA256SUMS and is not attached") in less


def test_a_changed_page_is_found_by_making_the_report_again(report: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.pdf"
    with pikepdf.Pdf.open(report) as pdf:
        pdf.pages[2].contents_add(b"0 0 100 100 re f")
        pdf.save(target)
    assert outcomes(verify_report(target))["document"] == "pass", "hashes alone do not see it"
    assert outcomes(verify_report(target, rebuild=True))["pages"] == "fail"


def test_what_is_no_report(report: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.pdf"
    text.write_bytes(b"no pdf")
    with pytest.raises(DataError) as refusal:
        verify_report(text)
    assert str(refusal.value) == f"{text}: no PDF, or a damaged one; get the report again"
    with pytest.raises(DataError) as refusal:
        verify_report(tmp_path / "absent.pdf")
    assert str(refusal.value) == (
        f"{tmp_path / 'absent.pdf'}: cannot be read (No such file or directory); name a PDF report"
    )
    without = changed(report, tmp_path, "SHA256SUMS", None)
    with pytest.raises(DataError) as refusal:
        verify_report(without)
    assert str(refusal.value) == (
        f"{without}: SHA256SUMS not attached; this is no report of this program, or somebody has taken them out: write "
        "it again with audit report RUN"
    )
    damaged = changed(report, tmp_path, "results.json", b"\xff{}")
    with pytest.raises(DataError, match=r"changed\.pdf: attached results\.json: file: Invalid JSON"):
        verify_report(damaged)


# ---- the command


def test_exit_codes(audit: Command, report: Path, tmp_path: Path) -> None:
    fine = audit("verify", report)
    assert fine.code == 0 and fine.out.endswith(f"{report}: no check failed\n")
    bad = changed(report, tmp_path, "more.txt", b"?")
    outcome = audit("verify", bad, "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["passed"] is False
    assert audit("verify", bad).out.endswith(f"{bad}: 1 of 6 checks failed\n")
    assert audit("verify", "absent.pdf").code == 3


# ---- signatures


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKCS #12 file with a key of its own (passphrase: secret), and its certificate beside it as PEM."""
    pytest.importorskip("pyhanko", reason="the extra sign is not installed")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import pkcs12

    folder = tmp_path_factory.mktemp("key")
    for who in ("desk", "stranger"):
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)])
        now = dt.datetime.now(dt.UTC)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
            .sign(private, hashes.SHA256())
        )
        locked = serialization.BestAvailableEncryption(b"secret")
        (folder / f"{who}.p12").write_bytes(
            pkcs12.serialize_key_and_certificates(None, private, certificate, None, locked)
        )
        (folder / f"{who}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "desk.p12"


def signed(audit: Command, key: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    example_result(**SMALL).save(Path("run/results.json"))
    monkeypatch.setenv("AUDIT_SIGN_PASSPHRASE", "secret")
    assert audit("report", "run", "--sign", key).out == "run/report.pdf\n"
    return Path("run/report.pdf")


def test_a_signature_holds_and_says_what_it_does_not_show(
    audit: Command, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = signed(audit, key, monkeypatch)
    *_, pages, signature = verify_report(report, rebuild=True)
    assert pages == Check(
        "pages", "pass", "byte for byte what this program makes of the attached results up to its signature"
    )
    assert signature.status == "pass"
    assert signature.detail.startswith("the file is as desk signed it at ")
    assert signature.detail.endswith("who that is was not checked: name who is trusted with --trust")
    assert verify_report(report, trust=key.with_suffix(".pem"))[-1].detail.endswith(
        "the certificate leads to desk.pem"
    )
    stranger = verify_report(report, trust=key.with_name("stranger.pem"))[-1]
    assert stranger.status == "fail" and "does not lead to a certificate in" in stranger.detail


def test_a_signed_file_that_was_changed_fails(
    audit: Command, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = signed(audit, key, monkeypatch)
    content = bytearray(report.read_bytes())
    content[100] ^= 1  # not in what a reader needs to open the file
    Path("changed.pdf").write_bytes(content)
    assert verify_report(Path("changed.pdf"))[-1].status == "fail"
    with pikepdf.Pdf.open(report) as pdf:
        pdf.pages[0].contents_add(b"0 0 100 100 re f")
        pdf.save("saved.pdf")
    assert verify_report(Path("saved.pdf"))[-1].status == "fail"


def test_without_a_key_nothing_is_written(audit: Command, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example_result(**SMALL).save(Path("run/results.json"))
    monkeypatch.setenv("AUDIT_SIGN_PASSPHRASE", "wrong")
    outcome = audit("report", "run", "--sign", key)
    assert (outcome.code, outcome.err) == (
        2, f"audit: --sign: {key}: no PKCS #12 file, or another passphrase; check AUDIT_SIGN_PASSPHRASE\n",
    )  # fmt: skip
    assert audit("report", "run", "--sign", "absent.p12").err == (
        "audit: --sign: absent.p12: no such file; name a PKCS #12 file (.p12, .pfx)\n"
    )
    assert audit("report", "run", "--sign", key, "--format", "html").err == (
        "audit: --sign: only a PDF can be signed, not html; leave out --format or --sign\n"
    )
    monkeypatch.delenv("AUDIT_SIGN_PASSPHRASE")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert audit("report", "run", "--sign", key).err == (
        f"audit: --sign: {key}: passphrase unknown; set AUDIT_SIGN_PASSPHRASE (empty where there is none)\n"
    )
    assert sorted(path.name for path in Path("run").iterdir()) == ["results.json"]
    Path("none.pem").write_text("no certificate")
    report = signed(audit, key, monkeypatch)
    refusal = audit("verify", report, "--trust", "none.pem")
    assert refusal.code == 2 and refusal.err.startswith("audit: --trust: none.pem: no certificate (")


def test_the_extra_is_named_where_it_is_missing(audit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    example_result(**SMALL).save(Path("run/results.json"))
    monkeypatch.setitem(__import__("sys").modules, "reports.signing", None)
    outcome = audit("report", "run", "--sign", "desk.p12")
    assert (outcome.code, outcome.err) == (
        2, "audit: --sign: pyHanko is not installed; pip install 'imaging-audit[sign]'\n",
    )  # fmt: skip
