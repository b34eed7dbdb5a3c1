"""The rivals' environments: one for each, outside the project's own, from a file with hashes.

An environment is made when a rival is first measured, in `~/.cache/parquill/rivals`, and made
anew when its file in `requirements/` has changed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
SCRIPTS = Path(__file__).parent / "rivals"
HOME = Path.home() / ".cache" / "parquill" / "rivals"


@dataclass(frozen=True)
class Rival:
    """Whose environment it takes, the script that drives it, and what the script is told besides."""

    environment: str
    script: str
    told: tuple[str, ...] = ()


RIVALS = {
    "openai": Rival("openai", "ask_openai.py"),
    "openai, its aiohttp transport": Rival("openai", "ask_openai.py", ("aiohttp",)),
    "LiteLLM": Rival("litellm", "ask_litellm.py"),
    "async-batch-llm": Rival("async-batch-llm", "ask_async_batch_llm.py"),
    "flexllm": Rival("flexllm", "ask_flexllm.py"),
}


def command(rival: Rival, manifest: Path, base_url: str, folder: Path) -> list[str]:
    """What is to be run so that a rival asks for every row of a manifest."""
    python = rival_python(rival.environment)
    return [str(python), str(SCRIPTS / rival.script), str(manifest), base_url, str(folder), *rival.told]


def rival_python(name: str) -> Path:
    """The Python of an environment, made if it is not there."""
    lock = REQUIREMENTS / f"rival-{name}.lock"
    folder = HOME / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        print(f"making the environment of {name}: {folder}", file=sys.stderr)
        uv = str(Path(sys.executable).with_name("uv"))
        pins = ["--python", str(python), "--require-hashes", str(lock)]
        try:
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
            subprocess.run([uv, "pip", "sync", "--quiet", "--compile-bytecode", *pins], check=True)
        except (OSError, subprocess.CalledProcessError) as fault:
            raise SystemExit(
                f"The environment of {name} could not be made ({fault}). It needs uv (`make test` brings it) and a "
                "package index; without them: --sides bare parquill"
            ) from fault
        whole.touch()
    return python
