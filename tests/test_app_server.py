"""The web server around the page: login, other users' files, headers; and the steps through `gradio_client`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from gradio_client import Client
from gradio_client.exceptions import AppError

from apps.accounts import Accounts
from apps.attempts import Attempts
from apps.desk import Desk
from apps.server import HEADERS, build_app
from audit.errors import ConfigError
from audit.store import RunStore
from tests.app_parts import TINY, free_port, server, tiny, wait_for, zipped
from tests.command_line import Command, make_command
from tests.results_factory import example_result
from tests.test_app_desk import class_folders

PASSWORDS = {"ann": "correct horse", "bob": "battery staple"}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return make_command(tmp_path, monkeypatch, capsys)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two users; the first has a finished audit (invented)."""
    settings = tiny(tmp_path / "data", host="0.0.0.0")
    for name, password in PASSWORDS.items():
        Accounts(settings.data).add(name, password)
    desk = Desk(settings)
    folder = desk.find("ann", desk.create("ann", "phantom:oct"))
    example_result().save(folder.run / "results.json")
    (folder.run / "report.pdf").write_bytes(b"%PDF-")
    RunStore(folder.run).mark_complete()
    return settings.data


def client(data: Path, user: str | None = None, **more: object) -> TestClient:
    found = TestClient(build_app(tiny(data, host="0.0.0.0", **more)), follow_redirects=False)
    if user is not None:
        answer = found.post("/login", data={"user": user, "password": PASSWORDS[user]})
        assert (answer.status_code, answer.headers["location"]) == (303, ".")
    return found


def audit_of(data: Path) -> str:
    return next((data / "audits").iterdir()).name


def test_nobody_passes_without_a_login(data: Path) -> None:
    stranger = client(data)
    answer = stranger.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "login")
    for path in (
        f"/audits/{audit_of(data)}/report.pdf",
        "/config",
        "/gradio_api/info",
        "/gradio_api/file=/etc/passwd",
    ):
        assert stranger.get(path).status_code == 401, path
    assert stranger.post("/gradio_api/upload").status_code == 401
    assert stranger.get("/health").json() == {"state": "up"}


def test_wrong_passwords_are_said_and_not_which_part_was_wrong(data: Path) -> None:
    stranger = client(data)
    answers = [
        stranger.post("/login", data={"user": user, "password": "wrong password"})
        for user in ("ann", "nobody", "<b>")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1 and "<b>" not in answers[2].text


TOO_MANY = "Too many wrong passwords. Try again in 15 minutes."


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_after_five_wrong_passwords_of_a_name_there_is_a_pause(data: Path, name: str) -> None:
    app = build_app(tiny(data, host="0.0.0.0"))
    for number in range(7):  # each from another address: the name is what counts
        stranger = TestClient(app, follow_redirects=False, client=(f"10.0.0.{number}", 1))
        password = PASSWORDS["ann"] if number == 6 else "wrong password"
        answer = stranger.post("/login", data={"user": name, "password": password})
        assert (answer.status_code, TOO_MANY in answer.text) == ((401, False) if number < 5 else (429, True))
    assert answer.headers["retry-after"] == "900"
    bob = TestClient(app, follow_redirects=False, client=("10.0.0.0", 1))
    assert bob.post("/login", data={"user": "bob", "password": PASSWORDS["bob"]}).status_code == 303


def test_after_five_wrong_passwords_from_an_address_there_is_a_pause(data: Path) -> None:
    found = client(data)
    answers = [found.post("/login", data={"user": f"u{i}", "password": "wrong password"}) for i in range(5)]
    answers.append(found.post("/login", data={"user": "ann", "password": PASSWORDS["ann"]}))
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert TOO_MANY in answers[-1].text


def test_a_pause_ends_and_is_not_prolonged() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for minute in range(5):
        now[0] = 60.0 * minute
        assert attempts.admits("ann", f"10.0.0.{minute}")
    for seconds, admitted in ((241, False), (240 + 899, False), (240 + 900, True)):
        now[0] = float(seconds)
        assert attempts.admits("ann", "10.0.1.1") is admitted
    attempts.right("ann", "10.0.1.1")
    now[0] += 901
    assert attempts.admits("bob", "10.0.0.2")
    assert set(attempts.times) == {("name", "bob"), ("address", "10.0.0.2")}, "what is over is forgotten"


def test_an_account_of_one_s_own_does_not_make_an_address_new() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(5):
        assert attempts.admits("bob", "10.0.0.1")
        attempts.right("bob", "10.0.0.1")
        assert attempts.admits(f"u{number}", "10.0.0.1")
    assert not attempts.admits("bob", "10.0.0.1")


def test_files_are_the_owner_s_alone(data: Path) -> None:
    name = audit_of(data)
    ann, bob = client(data, "ann"), client(data, "bob")
    assert ann.get(f"/audits/{name}/report.pdf").content == b"%PDF-"
    assert ann.get(f"/audits/{name}/scores.csv").text.startswith("model,optimizer")
    answer = bob.get(f"/audits/{name}/report.pdf")
    assert (answer.status_code, answer.text) == (404, "no such audit")
    for odd in ("about.json", "..%2Fabout.json", "config.yaml"):
        assert ann.get(f"/audits/{name}/{odd}").status_code == 404
    assert ann.get("/logout").status_code == 303
    assert ann.get(f"/audits/{name}/report.pdf").status_code == 401


def test_headers_and_cookie(data: Path) -> None:
    found = client(data)
    answer = found.post("/login", data={"user": "ann", "password": PASSWORDS["ann"]})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    for path in ("/", "/login", "/health"):
        assert {name: found.get(path).headers[name] for name in HEADERS} == HEADERS


def test_the_page_asks_nothing_of_anybody_else(data: Path) -> None:
    page = client(data, "ann").get("/").text
    for elsewhere in ("googleapis", "gstatic", "cdnjs", "huggingface.co/spaces", "google-analytics"):
        assert elsewhere not in page, elsewhere


def test_without_users_only_this_machine_may_come(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        build_app(tiny(tmp_path / "data", host="0.0.0.0"))
    assert str(refusal.value) == (
        "--host 0.0.0.0: others could reach the page, and there is no user; add one first: audit user add NAME"
    )
    local = TestClient(build_app(tiny(tmp_path / "data")))
    assert local.get("/").status_code == 200


# ---- the commands


def test_users_and_options(audit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_PASSWORD", "correct horse")
    assert (
        audit("user", "add", "ann", "--data", "d").err
        == "ann added; a server that runs must be started again\n"
    )
    assert Accounts(Path("d")).knows("ann", "correct horse")
    monkeypatch.delenv("AUDIT_PASSWORD")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert audit("user", "add", "bob").err == (
        "audit: user bob: no password; set AUDIT_PASSWORD, or call it in a terminal\n"
    )
    assert audit("serve", "--folder", "x=nowhere").err == (
        "audit: --folder x=nowhere: no such folder; write NAME=PATH\n"
    )
    outcome = audit("serve", "--running", "0")
    assert (outcome.code, outcome.err) == (
        2, "audit: --running: Input should be greater than or equal to 1\n",
    )  # fmt: skip
    refused = audit("serve", "--set", "training.epochs=0", "--port", "0")
    assert refused.code == 2 and "training.epochs" in refused.err.splitlines()[-1]


# ---- the API, as docs/app.md shows it


def test_a_file_of_the_server_is_no_upload(tmp_path: Path) -> None:
    settings = tiny(tmp_path / "data")
    local = TestClient(build_app(settings))
    secret = settings.data / "secret.key"
    (tmp_path / "mine.zip").write_bytes(b"PK")
    with local:
        for path in (secret, tmp_path / "mine.zip"):
            forged = {"path": str(path), "meta": {"_type": "gradio.FileData"}, "orig_name": "mine.zip"}
            asked = local.post("/gradio_api/call/create", json={"data": ["upload", forged]})
            answer = local.get(f"/gradio_api/call/create/{asked.json()['event_id']}")
            assert "event: error" in answer.text and str(tmp_path) not in answer.text
            assert path.is_file(), "nothing was moved"
    assert Desk(settings).history("local") == []


@pytest.mark.slow
def documented(*changes: tuple[str, str]) -> list[str]:
    """The lines of docs/app.md, with other names; the last of them waits for the end."""
    code = (Path(__file__).parents[1] / "docs" / "app.md").read_text().split("```python\n")[1].split("```")[0]
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    return code.strip().splitlines()


def test_an_audit_through_the_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload = zipped(class_folders(tmp_path / "images"), tmp_path / "mine.zip")
    data, port = tmp_path / "data", free_port()
    with server(data, port) as address:
        lines = documented(
            ("http://127.0.0.1:7860", address), ("mine.zip", str(upload)),
            ('["resnet18"]', '["mobilenet_v3_small"]'), ('["none", "csn"]', '["none"]'),
        )  # fmt: skip
        known: dict[str, Any] = {}
        exec("\n".join(lines[:-1]), known)
        api, audit_id = known["api"], known["audit_id"]
        wait_for(lambda: api.predict(audit_id, api_name="/status")["done"] >= 1)
        with pytest.raises(AppError, match="something is under way"):
            api.predict(audit_id, api_name="/start")
        with pytest.raises(AppError, match="no such audit"):
            api.predict("0" * 20, api_name="/status")
    # Killed with its worker in mid-run. The next server takes it up.
    with server(data, port) as address:
        known["api"] = api = Client(address, verbose=False)
        exec(lines[-1], known)
        status = api.predict(audit_id, api_name="/status")
        assert capsys.readouterr().out.splitlines()[-1] == status["verdict"]
        assert (status["done"], status["total"], status["job"], status["state"]) == (4, 4, "audit", "done")
    stored = json.loads((data / "audits" / audit_id / "run" / "results.json").read_text())
    assert stored["finding"]["verdict"] == status["verdict"]
    assert stored["config"]["training"]["epochs"] == TINY["training.epochs"]
