"""The application under load: upload of a large ZIP, and many users who poll one running audit.

    python benchmarks/app.py [--megabytes 500] [--users 20] [--seconds 60]      (from the repository's folder)

Starts a server with tiny audits. Prints the response times of a status call while an audit runs, time and the server's
peak memory of the upload, and the time of the look at the data. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.app_parts import free_port, server, wait_for

SIDE = 180  # pixels: about 97 kB of noise as PNG
EVERY = 2.0  # seconds between two polls of a user, as the page does


def make_zip(target: Path, megabytes: int) -> int:
    """Noise in two class folders; returns the number of images."""
    rng = np.random.default_rng(0)
    number = 0
    with zipfile.ZipFile(target, "w") as archive:
        while target.stat().st_size < megabytes * 1e6:
            stream = io.BytesIO()
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(stream, format="PNG", compress_level=0)
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", stream.getvalue())
            number += 1
    return number


def peak_megabytes(port: int) -> float:
    """The most memory that the server's process has held."""
    found = subprocess.run(
        ["pgrep", "-f", f"audit serve .*--port {port}"], capture_output=True, text=True, check=True
    )
    status = Path(f"/proc/{found.stdout.split()[0]}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


def upload(api: Client, port: int, folder: Path, megabytes: int) -> dict[str, float]:
    """One large ZIP."""
    file = folder / "large.zip"
    images = make_zip(file, megabytes)
    before, started = peak_megabytes(port), time.perf_counter()
    audit_id = api.predict("upload", handle_file(file), api_name="/create")
    sent = time.perf_counter() - started
    wait_for(lambda: api.predict(audit_id, api_name="/status")["state"] != "working", 900)
    wait_for(lambda: api.predict(audit_id, api_name="/status")["state"] in ("done", "refused", "failed"), 900)
    return {
        "megabytes": round(file.stat().st_size / 1e6),
        "images": images,
        "upload, s": round(sent, 1),
        "server's peak before, MB": round(before),
        "server's peak after, MB": round(peak_megabytes(port)),
        "look at the data, s": round(time.perf_counter() - started - sent, 1),
    }


def poll(address: str, audit_id: str, until: float, times: list[float]) -> None:
    """One user."""
    with httpx.Client(timeout=60) as client:
        while time.monotonic() < until:
            started = time.perf_counter()
            asked = client.post(f"{address}/gradio_api/call/status", json={"data": [audit_id]}).json()
            client.get(f"{address}/gradio_api/call/status/{asked['event_id']}").raise_for_status()
            times.append(time.perf_counter() - started)
            time.sleep(EVERY)


def many(api: Client, address: str, users: int, seconds: float) -> dict[str, float]:
    """All of them while one audit runs."""
    audit_id = api.predict("phantom:oct", None, api_name="/create")
    wait_for(lambda: api.predict(audit_id, api_name="/status")["state"] == "done", 300)
    choices = (["resnet50", "densenet121"], ["adam", "sgd-m"], ["none", "csn"], [], [1, 2, 5])
    api.predict(audit_id, "quick", *choices, api_name="/plan")
    wait_for(lambda: api.predict(audit_id, api_name="/status")["state"] == "done", 300)
    api.predict(audit_id, api_name="/start")
    wait_for(lambda: api.predict(audit_id, api_name="/status")["done"] >= 1, 300)
    times: list[float] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=poll, args=(address, audit_id, until, times)) for _ in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = api.predict(audit_id, api_name="/status")["state"] == "working"
    found = sorted(times)
    return {
        "users": users,
        "calls": len(found),
        "median, s": round(found[len(found) // 2], 3),
        "95 % below, s": round(found[int(0.95 * len(found))], 3),
        "slowest, s": round(found[-1], 3),
        "audit still running at the end": running,
    }


def main() -> None:
    """Print both, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with server(Path(folder) / "data", port) as address:
            api = Client(address, verbose=False)
            polled = many(api, address, options.users, options.seconds)
            print(polled, flush=True)
            uploaded = upload(api, port, Path(folder), options.megabytes)
            print(uploaded, flush=True)
    print(json.dumps({"polling": polled, "upload": uploaded}))


if __name__ == "__main__":
    main()
