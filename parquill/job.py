"""The job: what a user writes in a job file, checked before anything is sent.

`load_job` takes a path, a mapping or a `Job`, applies overrides, fills `${NAME}` from the
environment and `{date}` in paths, and returns a frozen `Job`. Each room receives its own
part of it (`job.limits`, `job.images`), never the whole. This is the only room that reads
the environment; the API key is wrapped in `Secret` there and never becomes part of a job.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import pydantic
import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from parquill.errors import ErrorKind, JobError

OPENROUTER_URL = "https://openrouter.ai/api/v1"


def _no_bool(value: object) -> object:
    """YAML's true would otherwise pass as the number 1."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return value


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; write one like 'Europe/Berlin' or 'UTC'")
    return name


Integer = Annotated[int, BeforeValidator(_no_bool)]
PositiveInt = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=10**12)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Money = Annotated[Decimal, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
TimeZone = Annotated[str, AfterValidator(_known_timezone)]


class Section(pydantic.BaseModel):
    """A part of the job file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ManifestSettings(Section):
    path: Annotated[str, Field(min_length=1)]
    id_column: str | None = None
    image_columns: tuple[str, ...] = ()
    document_columns: tuple[str, ...] = ()
    keep_columns: Literal["all"] | tuple[str, ...] = "all"


class Example(Section):
    """One few-shot turn: what a user would say, and the answer the model should give."""

    user: str
    images: tuple[str, ...] = ()
    answer: str | dict[str, Any] | list[Any]


class PromptSettings(Section):
    system: str | None = None
    user: str | None = None
    user_column: str | None = None
    images_first: bool = False
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> PromptSettings:
        if (self.user is None) == (self.user_column is None):
            raise ValueError("give exactly one of `user` and `user_column`")
        return self


class FunctionSettings(Section):
    """A function the model may call; `parameters` is a JSON Schema of its arguments."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})


class OutputSettings(Section):
    path: Annotated[str, Field(min_length=1)]
    schema_: str | dict[str, Any] | None = Field(default=None, alias="schema")
    mode: Literal["auto", "json_schema", "tools", "json_object", "prompt"] = "auto"
    functions: tuple[FunctionSettings, ...] | None = None
    max_reasks: Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=10)] = 1
    max_chars: PositiveInt | None = None
    keep_attempts: bool = False
    rows_per_part: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=1_000_000)] = 10_000
    reuse_from: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_shape(self) -> OutputSettings:
        if self.schema_ is not None and self.functions is not None:
            raise ValueError("give `schema` or `functions`, not both")
        return self


class PriceSettings(Section):
    """USD per token, as decimal strings: floats would round the money away."""

    prompt: Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
    completion: Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]


class ModelSettings(Section):
    name: Annotated[str, Field(min_length=1)] = "google/gemma-3-4b-it"
    endpoint: str = "openrouter"
    api_key_env: str = "OPENROUTER_API_KEY"
    max_tokens: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=131_072)] = 256
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = 0.0
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: PositiveInt | None = None
    seed: Integer | None = None
    stop: str | tuple[str, ...] | None = None
    provider: dict[str, Any] = Field(default_factory=dict)
    fallback_models: tuple[str, ...] = ()
    tokenizer: str | None = None
    price: PriceSettings | None = None

    @pydantic.field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value in ("openrouter", "emulator") or re.match(r"^https?://[^/\s@]+(/\S*)?$", value):
            return value.rstrip("/")
        raise ValueError(f"{value!r} is neither 'openrouter', 'emulator' nor a base URL like http://127.0.0.1:8000/v1")


class ImageSettings(Section):
    send: Literal["url", "inline", "auto"] = "url"
    root: str | None = None
    max_side: Annotated[int, BeforeValidator(_no_bool), Field(ge=32, le=8192)] = 896
    max_per_row: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=400)] = 8
    labels: bool = False
    check: bool = False
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    allow_private: bool = False
    cache: str | None = None
    cache_mb: PositiveInt = 1024
    contact: str | None = None


class DocumentSettings(Section):
    send: Literal["pages", "text"] = "pages"
    pages: Annotated[str, Field(pattern=r"^\s*\d+(\s*-\s*\d*)?(\s*,\s*\d+(\s*-\s*\d*)?)*\s*$")] | None = None
    max_pages: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=400)] = 8
    take: Literal["all", "first"] = "all"


class LimitSettings(Section):
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    max_in_flight: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=100_000)] | Literal["auto"] = "auto"
    wait: bool = False


class BudgetSettings(Section):
    usd: Annotated[Money, Field(gt=0, le=10**9)] | None = None
    tokens: PositiveInt | None = None
    per: Literal["run", "day"] = "run"
    timezone: TimeZone = "UTC"


class RetrySettings(Section):
    max_attempts: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=100)] = 6
    deadline_seconds: Annotated[Number, Field(gt=0, le=86_400)] = 300.0


class FailureSettings(Section):
    max_error_rate: Annotated[Number, Field(gt=0, le=1)] | None = None
    window: PositiveInt = 500


class ReportSettings(Section):
    fetch: bool = False


class RunSettings(Section):
    workers: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=256)] = 1
    engine: Literal["local", "dask", "ray"] = "local"


class NotifySettings(Section):
    webhook: str | None = None
    style: Literal["json", "slack"] = "json"


class NightlySettings(Section):
    until: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    timezone: TimeZone = "UTC"
    max_usd: Annotated[Money, Field(gt=0)] | None = None
    notify: NotifySettings = NotifySettings()


class Job(Section):
    """One job, checked and frozen. Field names are the job file's keys."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    manifest: ManifestSettings
    prompt: PromptSettings
    output: OutputSettings
    model: ModelSettings = ModelSettings()
    images: ImageSettings = ImageSettings()
    documents: DocumentSettings = DocumentSettings()
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    retry: RetrySettings = RetrySettings()
    failures: FailureSettings = FailureSettings()
    report: ReportSettings = ReportSettings()
    run: RunSettings = RunSettings()
    nightly: NightlySettings = NightlySettings()


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


def load_job(
    source: str | Path | Mapping[str, Any] | Job,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    environ: Mapping[str, str] | None = None,
    date: dt.date | None = None,
) -> Job:
    """Read and check a job.

    `source` is a YAML or JSON file, a mapping of the same form, or a `Job`. `overrides` are
    `key.path=value` strings (the value is YAML) or a mapping from key path to value.
    `{date}` in paths becomes `date`, by default today's.

    Raises `JobError` naming the file, the key and what to do.
    """
    name = "job"
    if isinstance(source, Job):
        data: dict[str, Any] = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
    elif isinstance(source, Mapping):
        data = _copy(source)
    else:
        name = str(source)
        data = _read_yaml(Path(source))
    for key, value in _override_pairs(overrides):
        _set_path(data, key, value)
    data = _fill_environment(data, os.environ if environ is None else environ, name, "")
    _fill_dates(data, date or dt.date.today())
    try:
        return Job.model_validate(data)
    except pydantic.ValidationError as error:
        raise JobError(_explain(name, error)) from None


def read_api_key(model: ModelSettings, environ: Mapping[str, str] | None = None) -> Secret | None:
    """Return the key for the job's endpoint, or None where there is none.

    The default variable holds an OpenRouter key: it goes to OpenRouter only. Any other base
    URL gets a key only when the job names `model.api_key_env` itself.
    """
    if model.endpoint == "emulator":
        return None
    if model.endpoint != "openrouter" and "api_key_env" not in model.model_fields_set:
        return None
    value = (os.environ if environ is None else environ).get(model.api_key_env, "").strip()
    if value:
        return Secret(value)
    if model.endpoint == "openrouter":
        raise JobError(
            f"no API key: the environment variable {model.api_key_env} is not set. Set it, or rehearse "
            "without a key: --set model.endpoint=emulator"
        )
    return None


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's folder for state: where the ledgers of remote outputs live."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME", "~")).expanduser() / ".local/state") / "parquill"


def parse_kinds(text: str) -> frozenset[ErrorKind]:
    """Parse `--retry KIND,…`; raises `JobError` naming an unknown kind and its neighbour."""
    kinds = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            kinds.add(ErrorKind(word))
        except ValueError:
            raise JobError(f"--retry: {word!r} is no error kind{_did_you_mean(word, ErrorKind)}") from None
    return frozenset(kinds)


def zone(name: str) -> ZoneInfo:
    """Return the zone of a name that the job has already checked."""
    return ZoneInfo(name)


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (they can blow up) and without repeated keys (one would be lost)."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses more


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = _parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError(f"{path}: no such job file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise JobError(f"{where}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise JobError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise JobError(f"{path}: a job file is a mapping with keys like name, manifest, prompt, output")
    return data


def _override_pairs(overrides: Sequence[str] | Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise JobError(f"--set {text!r}: write it as key=value, for example --set model.endpoint=emulator")
        try:
            yield key.strip(), _parse_yaml(value)
        except yaml.YAMLError as error:
            raise JobError(f"--set {key}: {value!r} is not valid YAML: {error}") from None


def _set_path(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for step in parents:
        child = data.setdefault(step, {})
        if not isinstance(child, dict):
            raise JobError(f"--set {key}: {step!r} is not a section of the job")
        data = child
    data[last] = value


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


_VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _fill_environment(value: Any, environ: Mapping[str, str], name: str, where: str) -> Any:
    """Replace `${NAME}` in every string; `$${` stands for a literal `${`."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return "${"
        if match[2] not in environ:
            raise JobError(f"{name}: {where}: the environment variable {match[2]} is not set")
        return environ[match[2]]

    if isinstance(value, str):
        return _VARIABLE.sub(one, value)
    if isinstance(value, dict):
        return {
            key: _fill_environment(item, environ, name, f"{where}.{key}" if where else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_fill_environment(item, environ, name, f"{where}[{i}]") for i, item in enumerate(value)]
    return value


_DATED_PATHS = (("manifest", "path"), ("output", "path"), ("output", "reuse_from"), ("images", "root"))


def _fill_dates(data: dict[str, Any], date: dt.date) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{date}", date.isoformat())
        return [filled(item) for item in value] if isinstance(value, list) else value

    for section, key in _DATED_PATHS:
        part = data.get(section)
        if isinstance(part, dict) and key in part:
            part[key] = filled(part[key])


def _explain(name: str, error: pydantic.ValidationError) -> str:
    """One line a fault: the key's path, what is wrong, and the nearest known key."""
    lines: list[str] = []
    for fault in error.errors(include_url=False):
        steps = [str(step) for step in fault["loc"] if not _is_branch(step)]
        key = ".".join(steps)
        if fault["type"] == "extra_forbidden":
            text = f"unknown key {key!r}{_did_you_mean(steps[-1], _keys_at(fault['loc'][:-1]))}"
        elif fault["type"] == "missing":
            text = f"the key {key!r} is missing"
        else:
            text = f"{key or 'job'}: {_plain(fault)}"
        if text not in lines:
            lines.append(text)
    return "\n".join(f"{name}: {line}" for line in lines)


def _is_branch(step: int | str) -> bool:
    """Pydantic names the branch of a union (`tuple[str, ...]`, `literal['all']`) as a step."""
    return isinstance(step, str) and bool(re.search(r"[\[\]()]|^(str|int|float|decimal|dict|list)$", step))


def _plain(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    value = fault.get("input")
    if fault["type"] == "value_error" or isinstance(value, (dict, list)):
        return message
    return f"{message[0].lower()}{message[1:]}, not {value!r}"


def _keys_at(steps: tuple[int | str, ...]) -> list[str]:
    model: type[pydantic.BaseModel] = Job
    for step in steps:
        field = model.model_fields.get(str(step))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)):
            return []
        model = annotation
    return [field.alias or key for key, field in model.model_fields.items()]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = [str(name) for name in known]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(names)}" if names else ""
