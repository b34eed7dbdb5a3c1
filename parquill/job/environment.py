"""What comes from outside the job file: `${NAME}`, the API key, the user's folder for state.

A value that came out of the environment may be a secret: `Filled` remembers which keys hold
one and what was written there; messages about these keys, and whatever tells of the job, show that (`unexpanded.py`).
"""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from parquill.errors import JobError
from parquill.job.settings import ModelSettings
from parquill.job.unexpanded import Written, is_address

_log = logging.getLogger(__name__)


class Secret:
    """A string that never shows itself: not in a repr, a log, a traceback or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; called where a request's headers are made, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Secret is not pickled: each process reads the key for itself")


def wants_api_key(model: ModelSettings) -> bool:
    """Tell whether the job's endpoint is given a key.

    The default variable holds an OpenRouter key: it goes to OpenRouter only. Any other base
    URL gets a key only when the job names `model.api_key_env` itself.
    """
    if model.endpoint == "emulator" or model.api_key_header == "none":
        return False
    return model.endpoint == "openrouter" or "api_key_env" in model.model_fields_set


def find_api_key(model: ModelSettings, environ: Mapping[str, str] | None = None) -> Secret | None:
    """Return the key that the job's endpoint is given, or None where there is none.

    It stands in the variable that `model.api_key_env` names, or in a file that the variable of
    that name with `_FILE` at its end points to, as container platforms hand secrets out. Raises
    `JobError` for a file that cannot be read, and for a key that cannot stand in a header.
    """
    if not wants_api_key(model):
        return None
    env, name = os.environ if environ is None else environ, model.api_key_env
    if value := env.get(name, "").strip():
        return api_key(value, f"the environment variable {name}")
    if path := env.get(f"{name}_FILE", "").strip():
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise JobError(f"the file that {name}_FILE names cannot be read: {path}: {why}") from None
        return api_key(value, f"the file {path} that {name}_FILE names")
    return None


def without_quotes(text: str, origin: str) -> str:
    """Return a value without the quotation marks around it, and log once that they are left out.

    `docker run --env-file`, systemd's and Kubernetes' files pass on the marks that a shell takes away.
    """
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    _say_quoted(origin)
    return text[1:-1].strip()


@functools.cache
def _say_quoted(origin: str) -> None:
    _log.warning("%s holds a value in quotation marks: they are left out", origin)


def api_key(text: str, origin: str) -> Secret:
    """Return a key without quotation marks; raises `JobError` for what can be none, naming `origin` and not the key."""
    text = without_quotes(text, origin)
    if not text:
        raise JobError(f"{origin} is empty: it should hold an API key")
    if not re.fullmatch(r"[!-~]+", text):
        raise JobError(f"{origin} holds characters that no API key has")
    return Secret(text)


def read_api_key(model: ModelSettings, environ: Mapping[str, str] | None = None) -> Secret | None:
    """Return the key as `find_api_key` does; raises `JobError` where OpenRouter's is missing."""
    key = find_api_key(model, environ)
    if key is None and model.endpoint == "openrouter" and wants_api_key(model):
        raise JobError(
            f"no API key: the environment variable {model.api_key_env} is not set. Set it, or rehearse "
            "without a key: --set model.endpoint=emulator"
        )
    return key


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's folder for state: where the ledgers of remote outputs live."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME", "~")).expanduser() / ".local/state") / "parquill"


def cluster_address(engine: Literal["local", "dask", "ray"], environ: Mapping[str, str] | None = None) -> str | None:
    """Return the address of the cluster whose workers ask, by the variable that Dask and Ray read themselves.

    None: there is none but what is started for the run.
    """
    env = os.environ if environ is None else environ
    name = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}.get(engine)
    return None if name is None else env.get(name, "").strip() or None


_VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Filled:
    """Fills `${NAME}` in strings, and knows where it did."""

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        self._environ = os.environ if environ is None else environ
        self.variables: dict[str, str] = {}
        """Key path -> a variable that its value came from."""
        self.written: dict[str, Written] = {}
        """Key path -> what was there."""

    def fill(self, value: Any, key: str, source: str) -> Any:
        """Replace `${NAME}` in every string of `value`; `$${` stands for a literal `${`.

        Raises `JobError` naming `source`, the key and the variable that is not set.
        """

        def one(match: re.Match[str]) -> str:
            if match[1]:
                return "${"
            if match[2] not in self._environ:
                raise JobError(
                    f"{source}: {key}: the environment variable {match[2]} is not set; "
                    f"set it, or write $${{{match[2]}}} where this very text is meant"
                )
            self.variables[key] = match[2]
            return self._value(match[2], key)

        if isinstance(value, str):
            filled = _VARIABLE.sub(one, value)
            if key in self.variables:
                self.written[key] = Written(value, self._values(value, key))
            return filled
        if isinstance(value, dict):
            return {
                name: self.fill(item, f"{key}.{name}" if key else str(name), source) for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.fill(item, f"{key}[{index}]", source) for index, item in enumerate(value)]
        return value

    def forget(self, key: str) -> None:
        """Forget what was at a key and below it: an override takes its place."""
        for known in (self.variables, self.written):
            for other in [one for one in known if one == key or one.startswith((f"{key}.", f"{key}["))]:
                del known[other]

    def _values(self, text: str, key: str) -> dict[str, str]:
        return {match[2]: self._value(match[2], key) for match in _VARIABLE.finditer(text) if match[2]}

    def _value(self, name: str, key: str) -> str:
        value = self._environ[name]
        return without_quotes(value.strip(), f"the environment variable {name}") if is_address(key) else value
