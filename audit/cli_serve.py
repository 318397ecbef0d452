"""Commands of the application in the browser: `audit serve`, `audit user add`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.command_options import read_settings
from audit.errors import ConfigError

user_app = typer.Typer(no_args_is_help=True, help="Users of the page that audit serve opens.")
Data = Annotated[Path, typer.Option(help="Folder of audits, uploads, queue and users.")]
DEFAULT_DATA = Path("audit-server")
PASSWORD = "AUDIT_PASSWORD"


def serve(
    data: Data = DEFAULT_DATA,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Others than this machine need users.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 7860,
    root_path: Annotated[str, typer.Option(help="Path under which a proxy has the page, e.g. /audit.")] = "",
    running: Annotated[int, typer.Option(help="Audits at once.")] = 1,
    upload_mb: Annotated[int, typer.Option(help="Largest upload, MB.")] = 1024,
    quota_mb: Annotated[int, typer.Option(help="What one user's audits may fill, MB.")] = 4096,
    keep_days: Annotated[float, typer.Option(help="Days after which audits and uploads are deleted.")] = 30,
    folder: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH: images of this server that users may choose; repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting of every audit, e.g. workers=2; repeatable."),
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="URL of a Redis for the queue; default SQLite in --data.")
    ] = None,
) -> None:
    """Open the page on which audits are run in the browser. Ctrl-C ends it; audits under way go on at the next
    start."""
    from pydantic import ValidationError

    from apps.server import serve as run
    from apps.settings import ServerSettings

    values: dict[str, Any] = {
        "data": data.absolute(), "host": host, "port": port, "root_path": root_path.rstrip("/"), "running": running,
        "upload_mb": upload_mb, "quota_mb": quota_mb, "keep_days": keep_days, "folders": named(folder or []),
        "redis": redis, "overrides": read_settings(set_ or []),
    }  # fmt: skip
    try:
        settings = ServerSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{field}: {first['msg']}") from None
    typer.echo(f"http://{host}:{port}{settings.root_path}/  (data in {data}; Ctrl-C ends it)", err=True)
    run(settings)


def named(folders: list[str]) -> dict[str, Path]:
    """NAME=PATH. Raises ConfigError."""
    found = {}
    for text in folders:
        name, sign, place = text.partition("=")
        if not (name and sign and Path(place).exists()):
            raise ConfigError(f"--folder {text}: no such folder; write NAME=PATH")
        found[name] = Path(place).absolute()
    return found


@user_app.command()
def add(
    name: Annotated[str, typer.Argument(help="Small letters, digits, . _ -", show_default=False)],
    data: Data = DEFAULT_DATA,
) -> None:
    """Add a user, or give one a new password (asked for, or in AUDIT_PASSWORD)."""
    from apps.accounts import Accounts

    password = os.environ.get(PASSWORD)
    if password is None:
        if not sys.stdin.isatty():
            raise ConfigError(f"user {name}: no password; set {PASSWORD}, or call it in a terminal")
        password = str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    Accounts(data).add(name, password)
    typer.echo(f"{name} added; a server that runs must be started again", err=True)
