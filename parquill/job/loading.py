"""From a job file, a mapping or a `Job` to a checked `Job`: overrides, environment, dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pydantic
import yaml

from parquill.errors import ErrorKind, JobError
from parquill.job.environment import Filled
from parquill.job.error_messages import Origin, did_you_mean, explain
from parquill.job.settings import Job
from parquill.job.syntax import parse, problem, read_file
from parquill.job.unexpanded import is_covered


def load_job(
    source: str | Path | Mapping[str, Any] | Job,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    environ: Mapping[str, str] | None = None,
    date: dt.date | None = None,
) -> Job:
    """Read and check a job.

    Args:
        source: a YAML or JSON file, a mapping of the same form, or a `Job`, whose variables were filled when it
            was loaded.
        overrides: `key.path=value` strings (the value is YAML), or a mapping from key path to value.
        environ: what `${NAME}` is filled from; by default the process's environment.
        date: what `{date}` in paths becomes; by default today's.

    Returns:
        The job, checked and frozen.

    Raises:
        JobError: names the file, the key and what to do.
    """
    filled = Filled(environ)
    name = "job"
    if isinstance(source, Job):
        data: dict[str, Any] = _plain(source.model_dump(by_alias=True, exclude_unset=True))
        filled.written.update(source.written)
    elif isinstance(source, Mapping):
        data = filled.fill(_plain(source), "", name)
    else:
        name = str(source)
        data = filled.fill(read_file(Path(source)), "", name)
    pairs = list(_override_pairs(overrides))
    for key, value in pairs:
        filled.forget(key)
        _set_path(data, key, filled.fill(_plain(value), key, "--set"))
    _fill_dates(data, date or dt.date.today())
    try:
        job = Job.model_validate(data)
    except pydantic.ValidationError as error:
        raise JobError(explain(error, Origin(name, [key for key, _ in pairs], filled.variables))) from None
    job.written.update(filled.written)
    return job


def load_written(data: Mapping[str, Any], *, environ: Mapping[str, str] | None = None) -> Job:
    """Return the job that was serialised to JSON: `${NAME}` is filled where such a job shows it, nowhere else.

    Raises `JobError` for a variable that is not set here, and for what is no job.
    """
    filled, name = Filled(environ), "the job"

    def fill(value: Any, key: str) -> Any:
        if isinstance(value, dict) and not is_covered(key):
            return {name: fill(item, f"{key}.{name}" if key else name) for name, item in value.items()}
        return filled.fill(value, key, name) if is_covered(key) else value

    try:
        job = Job.model_validate(fill(_plain(data), ""))
    except pydantic.ValidationError as error:
        raise JobError(explain(error, Origin(name, [], filled.variables))) from None
    job.written.update(filled.written)
    return job


class Retried(TypedDict):
    """What `--retry` asks for, by the names of a run's options."""

    retry: frozenset[ErrorKind]
    again: bool


def parse_retry(text: str) -> Retried:
    """Parse `--retry KIND,…`: error kinds, and `ok` for answered rows; raises `JobError` as `parse_kinds` does."""
    words = [word.strip() for word in text.split(",")]
    return {"retry": parse_kinds(",".join(word for word in words if word != "ok")), "again": "ok" in words}


def parse_kinds(text: str) -> frozenset[ErrorKind]:
    """Parse `--retry KIND,…`; raises `JobError` naming an unknown kind and its neighbour."""
    kinds = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            kinds.add(ErrorKind(word))
        except ValueError:
            raise JobError(f"--retry: {word!r} is no error kind{did_you_mean(word, ErrorKind)}") from None
    return frozenset(kinds)


def _override_pairs(overrides: Sequence[str] | Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise JobError(f"--set {text!r}: write it as key=value, for example --set model.endpoint=emulator")
        try:
            yield key.strip(), parse(value)
        except (yaml.YAMLError, ValueError) as error:
            raise JobError(f"--set {key.strip()}: the value is not valid YAML: {problem(error)}") from None


def _set_path(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for step in parents:
        if data.get(step) is None:
            data[step] = {}
        if not isinstance(data[step], dict):
            raise JobError(f"--set {key}: {step!r} is not a section of the job")
        data = data[step]
    data[last] = value


def _plain(value: Any) -> Any:
    """A copy in YAML's own kinds: the caller's mapping stays as it is."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


_DATED_PATHS = (
    ("manifest", "path"),
    ("output", "path"),
    ("output", "reuse_from"),
    ("images", "root"),
    ("images", "cache"),
)


def _fill_dates(data: dict[str, Any], date: dt.date) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{date}", date.isoformat())
        return [filled(item) for item in value] if isinstance(value, list) else value

    for section, key in _DATED_PATHS:
        part = data.get(section)
        if isinstance(part, dict) and key in part:
            part[key] = filled(part[key])
