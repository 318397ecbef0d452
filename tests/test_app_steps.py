"""Every step of the page in a real Chromium, of one tiny audit that is killed in mid-run first; refused archives."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from apps.desk import Desk
from apps.handlers import STEPS
from apps.settings import ServerSettings
from tests.app_parts import CHOICES, chromium, free_port, paused_in_mid_run, server, visit, wait_for, zipped
from tests.test_app_desk import class_folders
from tests.test_archive import LINK, packed, with_info

pytestmark = pytest.mark.slow


QUOTAS = ("--set=data.quotas.files=200", "--set=data.quotas.bytes=100000")


class Site:
    """A server that can be killed and started again, and one audit on it, of images whose classes have a mark."""

    def __init__(self, folder: Path) -> None:
        self.data, self.port, self.stack = folder / "data", free_port(), contextlib.ExitStack()
        self.start()
        self.desk = Desk(ServerSettings.load(self.data))
        file = zipped(class_folders(folder / "images"), folder / "clinic.zip")
        self.audit_id = self.desk.create("local", "upload", file)
        wait_for(lambda: self.desk.status("local", self.audit_id).job.state == "done")
        self.desk.start_chosen(
            "local", self.audit_id, "quick", {**CHOICES, "normalizations": ["none", "csn"]}
        )

    def start(self) -> None:
        self.address = self.stack.enter_context(server(self.data, self.port, *QUOTAS))

    def kill(self) -> None:
        """With its worker, as a machine that loses power."""
        self.stack.close()

    @property
    def url(self) -> str:
        return f"{self.address}/?audit={self.audit_id}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = Site(tmp_path_factory.mktemp("steps"))
    yield found
    found.kill()


@pytest.fixture
def finished(site: Site) -> Site:
    wait_for(lambda: site.desk.results("local", site.audit_id) is not None)
    return site


# ---- in mid-run


def load_again(page: Any) -> None:
    """As a person does; the page may be at it by itself, once it notices that the server was away."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        page.reload()
    except playwright.Error:
        page.wait_for_load_state()


def test_killed_in_mid_run_it_is_found_again_and_two_tabs_see_the_same(browser: Any, site: Site) -> None:
    folder = site.desk.find("local", site.audit_id)
    with paused_in_mid_run(folder) as kept:
        pages = [visit(browser, site.url) for _ in range(2)]
        for page in pages:
            page.locator("#running p", has_text=f"{len(kept)} of 6 trainings").wait_for()
            assert page.locator("#running tbody tr").count() == len(kept)
        assert serious(pages[0]) == set()
        site.kill()
    site.start()
    for page in pages:
        load_again(page)
        page.locator("#running").get_by_text("Audit: done").or_(
            page.locator("#verdict .verdict")
        ).first.wait_for()
        page.get_by_role("tab", name="Results").click()  # and not loaded again
        page.locator("#verdict .verdict").wait_for()
        page.context.close()
    assert all(file.read_bytes() == content for file, content in kept.items())
    assert site.desk.status("local", site.audit_id).done == 6


# ---- every step


def serious(page: Any) -> set[tuple[str, str]]:
    """What axe finds that somebody could not use."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe_module.Axe().run(page).response["violations"]
    return {
        (one["id"], node["html"][:160])
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    }


MAP = "Mean image of each class with the places that give it away"
SHOWN = dict(
    zip(
        STEPS, ("#take", "#checks table", "#cost p", "#running table", "#matrix table", "#other"), strict=True
    )
)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_step_is_for_everybody_and_fits(browser: Any, finished: Site, theme: str, width: int) -> None:
    page = visit(browser, f"{finished.url}&__theme={theme}", width)
    page.locator("#matrix table").first.wait_for()
    for step, what in SHOWN.items():
        page.get_by_role("tab", name=step).click()
        page.locator(what).first.wait_for()
        assert serious(page) == set(), step
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"{step}: sideways"
    page.get_by_role("tab", name="Checks").click()
    assert page.get_by_alt_text(MAP).evaluate("image => image.naturalWidth") > 100
    assert page.locator("#checks").get_by_text("left & <b>", exact=True).count() == 2, "counts, places"
    assert page.locator("b", has_text="right").count() == 0, "a class name is text"
    page.context.close()


def test_steps_without_an_audit_are_for_everybody(browser: Any, site: Site) -> None:
    page = visit(browser, site.address)
    for step in STEPS:
        page.get_by_role("tab", name=step).click()
        page.get_by_role("tab", name=step, selected=True).wait_for()
        assert serious(page) == set(), step
    page.context.close()


# ---- archives that are refused


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (24, 24), level).save(stream, "PNG")
    return stream.getvalue()


def locked() -> bytes:
    """With a password, as its directory says."""
    content = packed({"A/x.png": b"1"})
    at = content.index(b"PK\x01\x02")
    return content[: at + 8] + b"\x01\x00" + content[at + 10 :]


OUT = "a path that could lead out of the archive; pack the folder again"
DAMAGED = "not a readable ZIP archive (damaged or cut short); pack the folder again"
TORN = (
    "class A has no train image; add images of A to the train split (skipped as unreadable: 8 files, first "
    "torn/A/0.png: cannot be read (no known image format); replace the file or remove it)"
)
NOISE = random.Random(0).randbytes(60_000)
BAD = {  # name: content, refusal
    "text.zip": (b"no archive at all", f"text.zip: {DAMAGED}"),
    "cut.zip": (packed({"A/1.png": png(1)})[:-9], f"cut.zip: {DAMAGED}"),
    "void.zip": (
        packed({}),
        "void.zip: no files inside; pack the folder that holds the class or split folders",
    ),
    "out.zip": (packed({"../x.png": b"x"}), f"out.zip/../x.png: {OUT}"),
    "absolute.zip": (packed({"/etc/x.png": b"x"}), f"absolute.zip//etc/x.png: {OUT}"),
    "link.zip": (
        with_info("A/x.png", b"/etc/passwd", lambda info: setattr(info, "external_attr", LINK)),
        "link.zip/A/x.png: a link or device; pack the files themselves",
    ),
    "locked.zip": (locked(), "locked.zip/A/x.png: encrypted; pack the folder again without a password"),
    "nested.zip": (
        packed({"A/1.png": png(1), "A/more.zip": b"x"}),
        "nested.zip/A/more.zip: an archive inside the archive; unpack it and pack the folder again",
    ),
    "many.zip": (
        packed({f"A/{n}.png": b"" for n in range(201)}),
        "many.zip: 201 files; at most 200: who runs this server can raise data.quotas.files",
    ),
    "large.zip": (
        packed({"A/1.png": NOISE, "A/2.png": NOISE}),
        "large.zip: 117.2 KiB unpacked; at most 97.7 KiB: who runs this server can raise data.quotas.bytes",
    ),
    "bomb.zip": (
        packed({"A/zero.png": bytes(8 << 20)}),
        "bomb.zip/A/zero.png: unpacks to more than 200 times its packed size, as archive bombs do; pack it "
        "without compression",
    ),
    "letters.zip": (
        packed({"A/a.txt": b"x", "B/b.txt": b"y"}),
        "letters/A/a.txt: not an image (.txt); move it out of the data folder",
    ),
    "one.zip": (
        packed({f"A/{n}.png": png(n) for n in range(4)}),
        "one: one class only (A); an audit compares classes: give at least two",
    ),
    "torn.zip": (packed({f"{c}/{n}.png": png(n)[:40] for c in "AB" for n in range(4)}), f"torn: {TORN}"),
}


def test_every_kind_of_bad_archive_is_refused_by_name_and_with_a_remedy(
    browser: Any, site: Site, tmp_path: Path
) -> None:
    page = visit(browser, site.address)
    urls = {}
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
        before = page.url
        page.locator("#upload input[type=file]").set_input_files(tmp_path / name)
        page.locator(f"#upload td[aria-label='{name}']").wait_for()
        page.locator("#send").click()
        page.wait_for_url(lambda url, before=before: "audit=" in url and url != before)
        urls[name] = page.url
        page.get_by_role("tab", name="Data").click()
    for name, (_, refusal) in BAD.items():
        page.goto(urls[name])
        said = page.locator("#checks .note.bad")
        said.wait_for()
        assert said.inner_text() == f"Looking at the data refused: {refusal}"
        shown = page.locator("body").inner_text()
        assert str(site.data.parent) not in shown and "Traceback" not in shown and "/tmp" not in shown
    page.context.close()
