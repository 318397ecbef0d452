"""The web server: login, downloads, headers, and the page below them. Starts the worker process."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from html import escape
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.middleware.sessions import SessionMiddleware

from apps.accounts import Accounts
from apps.attempts import PAUSE, Attempts
from apps.desk import FILES, Desk
from apps.handlers import LOCAL_USER
from apps.page import TITLE, build_page
from apps.settings import MEGABYTE, ServerSettings
from audit.config import load_config
from audit.errors import AuditError, ConfigError

UserOf = Callable[[Request], str | None]
SECRET_FILE = "secret.key"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self'; object-src 'none'; base-uri 'self'; form-action 'self'",
}
SESSION = 12 * 3600  # seconds
OPEN = ("/login", "/health")
FONTS = ["system-ui", "Segoe UI", "DejaVu Sans", "sans-serif"]  # of the reader's machine: nothing is fetched
LOGIN = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; }} body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 22rem; margin: 4rem auto;
padding: 0 1rem; }} input, button {{ font: inherit; width: 100%; padding: .5rem; margin: .25rem 0 1rem;
box-sizing: border-box; }} button {{ background: #1f4e79; color: #fff; border: 0;
border-radius: .3rem; }} .bad {{ color: #a33b00; }} @media (prefers-color-scheme: dark) {{ :root {{
background: #121212; }} .bad {{ color: #ff9d6b; }} }}
</style></head><body><main><h1>{title}</h1>{message}
<form method="post" action="login"><label>User <input name="user" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form></main></body></html>"""

WRONG = '<p class="bad" role="alert">{}</p>'
NO_SUCH = "No such user, or another password."
TOO_MANY = f"Too many wrong passwords. Try again in {PAUSE / 60:.0f} minutes."


def build_app(settings: ServerSettings) -> FastAPI:
    """The whole application. Raises ConfigError where others could reach it and nobody would have to log in."""
    accounts = Accounts(settings.data)
    secured = bool(accounts.read())
    if not settings.is_local and not secured:
        raise ConfigError(
            f"--host {settings.host}: others could reach the page, and there is no user; add one first: audit user add "
            "NAME"
        )
    load_config("oct", "quick", None, settings.overrides)  # what is wrong is said now and not to each user
    desk = Desk(settings)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def user_of(request: Request) -> str | None:
        """Who asks; None where a login is needed and there was none."""
        return str(request.session.get("user", "")) or None if secured else LOCAL_USER

    add_guard(app, settings, user_of)
    add_login(app, accounts)
    add_downloads(app, desk, user_of)
    return mount_page(app, build_page(desk), settings, user_of)


def add_guard(app: FastAPI, settings: ServerSettings, user_of: UserOf) -> None:
    """Nobody past the login without one; headers on everything."""

    @app.middleware("http")
    async def guarded(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        path = request.scope["path"].removeprefix(settings.root_path)
        response: Response
        if user_of(request) is not None or path in OPEN:
            response = await call(request)
        elif request.method == "GET" and path in ("", "/"):
            response = RedirectResponse("login", 303)
        else:
            response = Response("log in first", 401)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    app.add_middleware(
        SessionMiddleware,
        secret_key=secret(settings.data),
        same_site="strict",
        max_age=SESSION,
        session_cookie="audit",
    )  # added last, so that it comes first


def add_login(app: FastAPI, accounts: Accounts) -> None:
    """Login, with a pause after wrong passwords; logout; whether the server is up."""
    attempts = Attempts()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"state": "up"}

    @app.get("/login")
    def ask() -> HTMLResponse:
        return HTMLResponse(LOGIN.format(title=TITLE, message=""))

    @app.post("/login")
    def login(request: Request, user: str = Form(), password: str = Form()) -> Response:
        address = request.client.host if request.client else ""  # as a proxy on this machine says
        if not attempts.admits(user, address):
            later = {"Retry-After": f"{PAUSE:.0f}"}
            return HTMLResponse(LOGIN.format(title=TITLE, message=WRONG.format(TOO_MANY)), 429, later)
        if not accounts.knows(user, password):
            return HTMLResponse(LOGIN.format(title=TITLE, message=WRONG.format(NO_SUCH)), 401)
        attempts.right(user, address)
        request.session["user"] = user
        return RedirectResponse(".", 303)

    @app.get("/logout")
    def logout(request: Request) -> Response:
        request.session.clear()
        return RedirectResponse("login", 303)


def add_downloads(app: FastAPI, desk: Desk, user_of: UserOf) -> None:
    """Files of an audit, for its owner."""

    @app.get("/audits/{audit_id}/{name}")
    def download(request: Request, audit_id: str, name: str) -> Response:
        user = user_of(request) or ""
        try:
            path = desk.file(user, audit_id, name)
        except AuditError as error:
            return HTMLResponse(escape(str(error)), 404)
        title = desk.find(user, audit_id).about().title
        return FileResponse(path, media_type=FILES[name], filename=f"{title}-{name}")


def mount_page(app: FastAPI, page: gr.Blocks, settings: ServerSettings, user_of: UserOf) -> FastAPI:
    """The page below the login."""
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth_dependency=user_of,
        root_path=settings.root_path or None,
        allowed_paths=[],
        show_error=False,  # what goes wrong inside is not for the page
        max_file_size=settings.upload_mb * MEGABYTE,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        ssr_mode=False,
        theme=gr.themes.Base(font=FONTS, font_mono=["ui-monospace", "monospace"]),
        css_paths=Path(__file__).with_name("style.css"),
    )
    # Gradio checks that a file was uploaded, and is no other one of this server, only once it thinks that it was
    # launched; mounted pages never are (6.31).
    page.has_launched = True
    return mounted


def secret(data: Path) -> str:
    """The key of the sessions, kept so that a login outlives a restart."""
    file = data / SECRET_FILE
    if not file.is_file():
        data.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32), encoding="utf-8")
    return file.read_text(encoding="utf-8")


@contextlib.contextmanager
def worker(settings: ServerSettings) -> Iterator[None]:
    """A worker process beside the page; one that is there already is left to its work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.worker", str(settings.data)], stdin=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)


def serve(settings: ServerSettings) -> None:
    """Until Ctrl-C. Raises ConfigError."""
    settings.save()
    os.environ["GRADIO_TEMP_DIR"] = str(
        settings.data / "cache"
    )  # uploads: ours to sweep, and nobody else's to see
    app = build_app(settings)
    with worker(settings):
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            proxy_headers=True,
            forwarded_allow_ips="127.0.0.1",
        )
