"""The endpoint that the benchmarks ask, in processes of its own: nginx with Lua, or one in Python.

nginx answers with the number of the row's picture in its text, so that the caller can prove
that each row got its own answer; typed JSON when a `response_format` is asked for, else prose.
It goes on with a request whose sender has gone, as an endpoint that bills does, and can log
the picture of every request that it answered.

Where nginx or its Lua is missing, `lean_endpoint.py` takes its place, and says so: it costs
more CPU itself, and its answers are all alike.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmarks.lean_endpoint import OFFER

TEMPLATE = Path(__file__).with_name("nginx.conf")
LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")
MISSING = (
    "The lean endpoint is not installed, so a slower one in Python answers: read ratios with care.\n"
    "On Debian or Ubuntu: apt-get install nginx libnginx-mod-http-lua (nothing needs to be started)."
)


@cache
def modules() -> str | None:
    """The lines of nginx's configuration that load its Lua; None where either is missing."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        return None
    told = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    if "lua-nginx-module" in told or "openresty" in told:
        return f"# {program}: Lua is built in"
    found = re.search(r"--modules-path=(\S+)", told)
    paths = [Path(found[1]) / name for name in LUA] if found else []
    if not paths or not all(path.exists() for path in paths):
        return None
    return "\n".join(f"load_module {path};" for path in paths)


def kind() -> str:
    """Which endpoint answers here, for the head of a table."""
    return "asyncio" if modules() is None else "nginx"


@contextlib.contextmanager
def endpoint(latency: float, log: Path | None = None) -> Iterator[str]:
    """Serve on loopback for as long as the block lasts; its base URL.

    `latency` is in seconds. `log` takes one line for each request that was answered: the number
    of its picture, when the answer was sent and how long it took, in seconds; it is whole when
    the block has ended, and only nginx can write it.
    """
    if modules() is None:
        if log is not None:
            raise SystemExit(f"This benchmark counts at the endpoint, which needs nginx.\n{MISSING}")
        print(MISSING, file=sys.stderr)
        with _python(latency) as base_url:
            yield base_url
        return
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        # Started by root, nginx serves as another user, who must reach the folder.
        folder.chmod(0o755)
        configuration = folder / "nginx.conf"
        configuration.write_text(_configuration(folder, port, latency, log))
        server = subprocess.Popen([_program(), "-c", str(configuration), "-e", str(folder / "error.log")])
        try:
            base_url = f"http://127.0.0.1:{port}/v1"
            _wait(base_url, server, folder / "error.log")
            yield base_url
        finally:
            server.terminate()
            server.wait()


def _program() -> str:
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert found is not None
    return found


def _configuration(folder: Path, port: int, latency: float, log: Path | None) -> str:
    filled = {
        "MODULES": modules() or "",
        "FOLDER": str(folder),
        "PORT": str(port),
        "LATENCY": str(latency),
        "LOG": "off" if log is None else f"{log} asked buffer=64k flush=100ms",
        "OFFERS": json.dumps(OFFER),
    }
    return re.sub("@([A-Z]+)@", lambda found: filled[found[1]], TEMPLATE.read_text(encoding="utf-8"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(base_url: str, server: subprocess.Popen[bytes], error_log: Path) -> None:
    """Return once it answers."""
    for _ in range(200):
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(f"{base_url}/models/any/endpoints").close()
            return
        if server.poll() is not None:
            raise SystemExit(f"nginx did not start: {error_log.read_text()}")
        time.sleep(0.05)
    raise SystemExit(f"nginx does not answer at {base_url}: {error_log.read_text()}")


@contextlib.contextmanager
def _python(latency: float) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.lean_endpoint", "0", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()
