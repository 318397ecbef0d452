"""The page in a real Chromium: the whole way to a report, reload, cancel and go on, names as text, axe, keyboard."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.accounts import Accounts
from apps.desk import FILES
from apps.shelf import AuditFolder
from tests.app_parts import (
    LONG,
    chromium,
    free_port,
    kept_cells,
    paused_in_mid_run,
    server,
    visit,
    wait_for,
    zipped,
)

pytestmark = pytest.mark.slow
MILLISECONDS = LONG * 1000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A running server and its data."""
    data = tmp_path_factory.mktemp("site") / "data"
    with server(data, free_port()) as address:
        yield address, data


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Any, site: tuple[str, Path]) -> Iterator[Any]:
    """A fresh visit; nothing may be asked of another server, and no script may fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(MILLISECONDS)
    found = context.new_page()
    wrong: list[str] = []
    found.on(
        "request",
        lambda r: wrong.append(r.url) if not r.url.startswith((site[0], "data:", "blob:")) else None,
    )
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.goto(site[0])
    found.locator("#history li, #history p").first.wait_for()  # then the page listens
    yield found
    assert wrong == []
    context.close()


def audit_id(page: Any) -> str:
    """From the address."""
    page.wait_for_url("**audit=*")
    return str(page.url.split("audit=")[1][:20])


def choose_small(page: Any) -> None:
    """One small network, no defence."""
    page.locator("#to-plan").click()
    page.get_by_label("MobileNetV3 small: very quick").check()
    page.get_by_label("ResNet-18: small, quick").uncheck()
    page.get_by_label("CSN: each batch to zero mean").uncheck()


def results_of(data: Path, found: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((data / "audits" / found / "run" / "results.json").read_text())
    return content


def upload_and_wait(page: Any, file: Path) -> str:
    page.locator("#upload input[type=file]").set_input_files(str(file))
    page.locator(
        f"#upload td[aria-label='{file.name}']"
    ).wait_for()  # uploaded; until then it is named otherwise
    page.locator("#send").click()
    found = audit_id(page)
    page.wait_for_selector("#checks table")
    return found


def audited(page: Any, data: Path, file: Path, tmp_path: Path) -> tuple[dict[str, Any], str]:
    """From an uploaded file to all downloads; the results on the disk and the text of the PDF."""
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    found = upload_and_wait(page, file)
    choose_small(page)
    page.locator("#cost").get_by_text("trainings and").wait_for()
    page.locator("#start").click()
    page.locator("#running").get_by_text("Audit: done").wait_for()
    page.locator("#to-results").click()  # and not loaded again
    page.wait_for_selector("#verdict .verdict")
    for name in FILES:
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        download.value.save_as(tmp_path / name)
    pages = pypdf.PdfReader(tmp_path / "report.pdf").pages
    return results_of(data, found), " ".join(" ".join(p.extract_text() for p in pages).split())


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def go_to(page: Any, name: str, key: str) -> None:
    """To what has this id or label by Tab alone, and press a key there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(
            """name => { const e = document.activeElement;
            const called = [...(e.labels ?? []), e].some(l => l.innerText.startsWith(name));
            return called || [e.id, e.ariaLabel].includes(name); }""",
            name,
        ):
            page.keyboard.press(key)
            return
    raise AssertionError(f"{name}: not reached by Tab")


def test_phantoms_from_choice_to_results_by_keyboard(page: Any, site: tuple[str, Path]) -> None:
    go_to(page, "Skin phantoms (synthetic)", "Space")
    go_to(page, "take", "Enter")
    found = audit_id(page)
    page.wait_for_selector("#checks table")
    assert page.get_by_text("Synthetic phantoms: nothing here says anything about patients.").is_visible()
    assert page.locator("#checks .note.ok", has_text="No pixels found that images of one class").is_visible()
    go_to(page, "to-plan", "Enter")
    page.locator("#start").wait_for()
    for name in ("ResNet-18", "MobileNetV3 small", "CSN"):  # one small network, no defence
        go_to(page, name, "Space")
    go_to(page, "start", "Enter")  # the time need not be asked for
    page.locator("#running progress").wait_for()
    page.reload()  # in mid-run: the address finds it
    page.locator("#running").get_by_text("Audit: done").or_(
        page.locator("#verdict .verdict")
    ).first.wait_for()
    page.reload()
    page.wait_for_selector("#verdict .verdict")
    result = results_of(site[1], found)
    assert result["config"]["models"] == ["mobilenet_v3_small"]
    assert page.locator("#verdict .verdict").inner_text() == result["finding"]["verdict"].capitalize()
    assert result["finding"]["sentence"] in page.locator("#verdict").inner_text()
    assert "Synthetic data" in page.locator("#verdict").inner_text()
    page.locator("#matrix").get_by_text(
        f"{percent(result['conditions'][0]['accuracy']['estimate'])} %"
    ).wait_for()
    counts = sum(sum(row) for row in result["cells"][0]["measures"]["confusion"])
    cells = page.locator("#matrix table").first.locator("tbody td").all_inner_texts()
    assert sum(int(cell) for cell in cells if cell.isdigit()) == counts
    go_to(page, "Show one training condition", "ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#matrix").get_by_text(
        f"{percent(result['conditions'][1]['accuracy']['estimate'])} %"
    ).wait_for()
    go_to(page, "Compare", "Enter")
    page.locator("#other").wait_for()


def test_real_jpegs_to_a_report_that_says_what_results_say(
    page: Any, site: tuple[str, Path], tmp_path: Path, shared_data: Path
) -> None:
    for folder in (shared_data / "oct-kermany1000" / "sample_jpeg").iterdir():
        (tmp_path / "few" / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:2]:  # of 15: they are looked at as large as they are stored
            shutil.copy(file, tmp_path / "few" / folder.name)
    result, text = audited(page, site[1], zipped(tmp_path / "few", tmp_path / "oct.zip"), tmp_path)
    assert result["dataset"]["class_names"] == ["CNV", "DME", "DRUSEN", "NORMAL"]
    for condition in result["conditions"]:
        a = condition["accuracy"]
        assert f"{percent(a['estimate'])} % ({percent(a['low'])}–{percent(a['high'])})" in text
    assert result["audit_id"] in text
    assert json.loads((tmp_path / "results.json").read_text()) == result
    html = (tmp_path / "report.html").read_text()
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert len(rows) == len(result["conditions"])
    for row, condition in zip(rows, result["conditions"], strict=True):
        a = condition["accuracy"]
        assert [float(row[name]) for name in ("accuracy", "low", "high")] == pytest.approx(
            [a["estimate"], a["low"], a["high"]], abs=1e-6
        )
        assert f"{percent(a['estimate'])} % ({percent(a['low'])}–{percent(a['high'])})" in html


def test_the_time_stands_beside_each_choice(page: Any, site: tuple[str, Path]) -> None:
    page.get_by_label("OCT phantoms (synthetic)").check()
    page.locator("#take").click()
    page.wait_for_selector("#checks table")
    page.locator("#to-plan").click()
    cost = page.locator("#cost")
    cost.get_by_text("6 trainings and").wait_for()  # clean and EvoShift without and with CSN, two controls
    page.get_by_label("CSN: each batch to zero mean").uncheck()
    cost.get_by_text("4 trainings and").wait_for()
    page.get_by_label("ResNet-18: small, quick").uncheck()
    cost.get_by_text("models: choose at least one.").or_(cost.get_by_text("at least one network")).wait_for()
    assert cost.get_by_text("trainings and").count() == 0
    page.get_by_label("MobileNetV3 small: very quick").check()
    page.locator("#start").click()  # while the time is worked out
    page.locator("#running").get_by_text("Audit: done").wait_for()


def test_cancelled_and_gone_on(page: Any, site: tuple[str, Path]) -> None:
    page.get_by_label("OCT phantoms (synthetic)").check()
    page.locator("#take").click()
    folder = AuditFolder(site[1] / "audits" / audit_id(page))
    page.wait_for_selector("#checks table")
    choose_small(page)
    page.locator("#start").click()
    with paused_in_mid_run(folder):
        page.locator("#running table").wait_for()
        page.locator("#cancel").click()
        wait_for(folder.cancelled.exists)
    page.locator("#running").get_by_text("cancelled").wait_for()
    kept = kept_cells(folder)
    assert 1 <= len(kept) < 4
    page.locator("#resume").click()
    page.locator("#running").get_by_text("Audit: done").wait_for()
    assert all(file.read_bytes() == content for file, content in kept.items())
    assert len(kept_cells(folder)) == 4


def test_another_s_or_no_audit_in_the_address(page: Any, site: tuple[str, Path]) -> None:
    page.goto(f"{site[0]}/?audit={'0' * 20}")
    page.get_by_text("no such audit").first.wait_for()
    assert page.locator("#checks table").count() == 0 and page.locator("#verdict .verdict").count() == 0


# ---- users, and a proxy


PASSWORDS = {"ann": "correct horse", "bob": "battery staple"}
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
NGINX_CONF = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port};
{location}
  }}
}}
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A server with two users."""
    for name, password in PASSWORDS.items():
        Accounts(tmp_path / "data").add(name, password)
    with server(tmp_path / "data", free_port()) as address:
        yield address


def log_in(browser: Any, address: str, user: str) -> Any:
    """A visit of its own."""
    page = visit(browser, address, selector="form")
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(PASSWORDS[user])
    page.get_by_role("button", name="Log in").click()
    page.locator("#history li, #history p").first.wait_for()
    return page


def test_two_users_at_once_see_their_own(browser: Any, guarded: str) -> None:
    pages = {user: log_in(browser, guarded, user) for user in PASSWORDS}
    kinds = {"ann": "OCT phantoms (synthetic)", "bob": "Skin phantoms (synthetic)"}
    for user, page in pages.items():
        page.get_by_label(kinds[user]).check()
        page.locator("#take").click()
    for user, page in pages.items():
        page.wait_for_selector("#checks table")
        other = kinds["bob" if user == "ann" else "ann"]
        page.locator("#history").get_by_text(kinds[user]).wait_for()
        assert other not in page.locator("#history").inner_text()
    pages["bob"].goto(pages["ann"].url)
    pages["bob"].get_by_text("no such audit").first.wait_for()
    for page in pages.values():
        page.context.close()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_behind_nginx_as_docs_app_md_has_it(browser: Any, tmp_path: Path) -> None:
    inner, outer = free_port(), free_port()
    documented = (
        (Path(__file__).parents[1] / "docs" / "app.md").read_text().split("```nginx\n")[1].split("```")[0]
    )
    conf = NGINX_CONF.format(folder=tmp_path, port=outer, location=documented.replace("7860", str(inner)))
    (tmp_path / "nginx.conf").write_text(conf)
    with server(tmp_path / "data", inner, "--root-path", "/audit"):
        proxy = subprocess.Popen([str(NGINX), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
        try:
            context = browser.new_context()
            context.set_default_timeout(MILLISECONDS)
            page = context.new_page()
            wrong: list[str] = []
            page.on("response", lambda r: wrong.append(r.url) if r.status >= 400 else None)
            page.goto(f"http://127.0.0.1:{outer}/audit/")
            page.get_by_label("OCT phantoms (synthetic)").check()
            page.locator("#take").click()
            page.wait_for_selector("#checks table")
            assert page.url.startswith(f"http://127.0.0.1:{outer}/audit/?audit=")
            assert wrong == []
            context.close()
        finally:
            proxy.terminate()
            proxy.wait(20)
