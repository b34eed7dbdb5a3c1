"""What a process is told before it loads anything, and what it loads beside the rest."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping


def set_environment_defaults(values: Mapping[str, str]) -> None:
    """Give environment variables that are not set a value, for this process and its children.

    Libraries read them while they are loaded.
    """
    for name, value in values.items():
        os.environ.setdefault(name, value)


def load_beside(module: str) -> None:
    """Begin to import a library on a thread; whoever imports it meanwhile waits for it, as for any import.

    This pays where loading lets go of the interpreter's lock: aiohttp reads the system's certificates twice.
    """
    threading.Thread(target=importlib.import_module, args=(module,), name=f"load {module}").start()
