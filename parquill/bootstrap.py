"""Environment defaults, and background imports at startup."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Mapping


def open_standard_files() -> None:
    """Have standard input, output and error lead to nowhere where the caller closed them (`<&-`, `>&-`, `2>&-`).

    Called before anything is opened: a file or socket that took the number 0, 1 or 2 would be read, written and
    closed as a standard file. uvloop ends the process over that, and a message would go into a ledger.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: those before it are open by now
            assert opened == number
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the process


def set_environment_defaults(values: Mapping[str, str]) -> None:
    """Give environment variables that are not set a value, for this process and its children.

    Libraries read them while they are loaded.
    """
    for name, value in values.items():
        os.environ.setdefault(name, value)


def load_beside(module: str) -> None:
    """Begin to import a library on a thread; a second import meanwhile waits for it, as for any import.

    This pays where loading lets go of the interpreter's lock: aiohttp reads the system's certificates twice.
    """
    threading.Thread(target=importlib.import_module, args=(module,), name=f"load {module}").start()
