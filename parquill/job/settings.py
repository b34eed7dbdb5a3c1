"""The job file's sections: what each key may hold, and what it is when it is not given.

Pydantic, frozen, and closed: an unknown key is an error. Field names are the job file's keys.
A validator's message is read after "should be" and does not repeat the value, which may be a
secret: `error_messages.py` decides what is shown. The `Role` beside a type says whether the setting decides
answers (`deciding.py`); a section that decides nothing is given its role as a whole, in `Job`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pydantic
from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from parquill.job.deciding import Role
from parquill.job.endpoints import KEY_NAME, EndpointAddress, Endpoints, LimitSettings, with_limits
from parquill.job.gateways import ExtraBody, ExtraHeaders, KeyHeader, NetworkSettings, RequestTags
from parquill.job.nightly import NightlySettings
from parquill.job.setting_types import (
    Integer,
    Money,
    Number,
    PositiveInt,
    PrivateNetwork,
    Section,
    StorePlace,
    TimeZone,
)
from parquill.job.setting_types import like as _like
from parquill.job.unexpanded import Written, as_written, hidden_values

_RANGE = r"\s*\d+\s*(-\s*\d*\s*)?"
_PAGES = "page numbers and ranges like '1-3, 7, 9-'"


class ManifestSettings(Section):
    """`manifest`: the table of rows, and what its columns are for."""

    path: Annotated[str, Field(min_length=1), Role.NEITHER]
    id_column: Annotated[str | None, Role.SHAPES] = None
    image_columns: Annotated[tuple[str, ...], Role.ROW] = ()
    document_columns: Annotated[tuple[str, ...], Role.ROW] = ()
    keep_columns: Annotated[Literal["all"] | tuple[str, ...], Role.SHAPES] = "all"


class Example(Section):
    """One few-shot turn: what a user would say, and the answer the model should give."""

    user: str
    images: tuple[str, ...] = ()
    answer: str | dict[str, Any] | list[Any]


class PromptSettings(Section):
    """`prompt`: what is sent for each row."""

    system: Annotated[str | None, Role.TURNS] = None
    user: Annotated[str | None, Role.ROW] = None
    user_column: Annotated[str | None, Role.ROW] = None
    images_first: Annotated[bool, Role.REQUEST] = False
    examples: Annotated[tuple[Example, ...], Role.TURNS] = ()

    @model_validator(mode="after")
    def _one_source(self) -> PromptSettings:
        if (self.user is None) == (self.user_column is None):
            raise ValueError("give exactly one of `user` and `user_column`")
        return self


class FunctionSettings(Section):
    """A function the model may call; `parameters` is a JSON Schema of its arguments."""

    name: Annotated[
        str,
        _like(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", "at most 64 letters, digits, '_' and '-', the first a letter or '_'"),
    ]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})


class OutputSettings(Section):
    """`output`: where answers go, and what they look like."""

    path: Annotated[str, Field(min_length=1), Role.NEITHER]
    schema_: Annotated[str | dict[str, Any] | None, Role.FORM] = Field(default=None, alias="schema")
    mode: Annotated[Literal["auto", "json_schema", "tools", "json_object", "prompt"], Role.NEITHER] = "auto"
    functions: Annotated[tuple[FunctionSettings, ...] | None, Role.FORM] = None
    max_reasks: Annotated[Integer, Field(ge=0, le=10), Role.NEITHER] = 1
    max_chars: Annotated[PositiveInt | None, Role.REQUEST] = None
    keep_attempts: Annotated[bool, Role.NEITHER] = False
    rows_per_part: Annotated[Integer, Field(ge=1, le=1_000_000), Role.SHAPES] = 10_000
    reuse_from: Annotated[tuple[str, ...], Role.NEITHER] = ()
    shared: Annotated[bool, Role.NEITHER] = False
    """Other users, all of them trusted, work with this output too: its own folder is used by any of them."""
    on_change: Annotated[Literal["ask", "replace", "refuse"], Role.NEITHER] = "ask"

    @model_validator(mode="after")
    def _one_shape(self) -> OutputSettings:
        if self.schema_ is not None and self.functions is not None:
            raise ValueError("give `schema` or `functions`, not both")
        return self


class PriceSettings(Section):
    """USD per token, as decimal strings: floats would round the money away."""

    prompt: Annotated[Money, Field(ge=0)]
    completion: Annotated[Money, Field(ge=0)]


class ModelSettings(Section):
    """`model`: which model answers, where, and with which parameters."""

    name: Annotated[str, Field(min_length=1), Role.REQUEST] = "google/gemma-3-4b-it"
    endpoint: Annotated[EndpointAddress, Role.NEITHER] = "openrouter"
    endpoints: Annotated[Endpoints | None, Role.NEITHER] = None
    """Several, in the place of one: each has its own limits, `limits` stands for what it does not name."""
    extra_headers: Annotated[ExtraHeaders, Role.NEITHER] = Field(default_factory=dict)
    extra_query: Annotated[dict[str, str], Role.NEITHER] = Field(default_factory=dict)
    extra_body: Annotated[ExtraBody, Role.REQUEST] = Field(default_factory=dict)
    request_tags: Annotated[RequestTags, Role.NEITHER] = RequestTags()
    api_key_header: Annotated[KeyHeader, Role.NEITHER] = "Authorization: Bearer"
    api_key_env: Annotated[str, KEY_NAME, Role.NEITHER] = "OPENROUTER_API_KEY"
    max_tokens: Annotated[Integer, Field(ge=1, le=131_072), Role.REQUEST] = 256
    max_tokens_field: Annotated[Literal["max_tokens", "max_completion_tokens", "auto"], Role.NEITHER] = "auto"
    system_role: Annotated[Literal["system", "developer", "user", "auto"], Role.REQUEST] = "auto"
    temperature: Annotated[Annotated[Number, Field(ge=0, le=2)] | None, Role.REQUEST] = 0.0
    top_p: Annotated[Annotated[Number, Field(gt=0, le=1)] | None, Role.REQUEST] = None
    top_k: Annotated[PositiveInt | None, Role.REQUEST] = None
    seed: Annotated[Integer | None, Role.REQUEST] = None
    stop: Annotated[str | tuple[str, ...] | None, Role.REQUEST] = None
    provider: Annotated[dict[str, Any], Role.NEITHER] = Field(default_factory=dict)
    fallback_models: Annotated[tuple[str, ...], Role.REQUEST] = ()
    tokenizer: Annotated[str | None, Role.NEITHER] = None
    price: Annotated[PriceSettings | None, Role.NEITHER] = None

    @model_validator(mode="after")
    def _one_way(self) -> ModelSettings:
        if self.endpoints is None:
            return self
        for name in ("endpoint", "api_key_env"):
            if name in self.model_fields_set:
                raise ValueError(_NOT_BOTH[name])
        return self


_NOT_BOTH = {
    "endpoint": "give `endpoint` or `endpoints`, not both (model.endpoints: null takes a list back)",
    "api_key_env": "with `endpoints`, each of them names its own `api_key_env`; leave model.api_key_env out",
}


MOST_BYTES = 512 * 10**6
"""Of one file: a process that decodes has 1 GiB."""


class ImageSettings(Section):
    """`images`: how pictures are read, shrunk and sent."""

    required: Annotated[bool, Role.ROW] = False
    send: Annotated[Literal["url", "inline", "auto"], Role.NEITHER] = "url"
    root: Annotated[str | None, Role.ROW] = None
    max_side: Annotated[Integer, Field(ge=32, le=8192), Role.PICTURES] = 896
    max_per_row: Annotated[Integer, Field(ge=1, le=400), Role.NEITHER] = 8
    labels: Annotated[bool, Role.REQUEST] = False
    check: Annotated[bool, Role.NEITHER] = False
    allow_hosts: Annotated[tuple[str, ...], Role.ROW] = ()
    deny_hosts: Annotated[tuple[str, ...], Role.ROW] = ()
    allow_ports: Annotated[tuple[Annotated[Integer, Field(ge=1, le=65535)], ...], Role.ROW] = (80, 443)
    allow_private: Annotated[bool | tuple[PrivateNetwork, ...], Role.ROW] = False
    max_bytes: Annotated[Annotated[Integer, Field(ge=1, le=MOST_BYTES)] | None, Role.ROW] = None
    """Bytes of a picture's or document's file; where it is not given, 64 MB, and 20 MB for one that is fetched."""
    allow_buckets: Annotated[tuple[StorePlace, ...], Role.ROW] = ()
    """Places in stores whose objects cells may name; read with the operator's own access."""
    cache: Annotated[str | None, Role.NEITHER] = None
    cache_mb: Annotated[PositiveInt, Role.NEITHER] = 1024
    refresh: Annotated[bool, Role.NEITHER] = False
    contact: Annotated[str | None, Role.NEITHER] = None


class DocumentSettings(Section):
    """`documents`: how PDFs are read and sent."""

    send: Annotated[Literal["pages", "text"], Role.DOCUMENTS] = "pages"
    pages: Annotated[Annotated[str, _like(rf"{_RANGE}(,{_RANGE})*", _PAGES)] | None, Role.DOCUMENTS] = None
    max_pages: Annotated[Integer, Field(ge=1, le=400), Role.DOCUMENTS] = 8
    take: Annotated[Literal["all", "first"], Role.DOCUMENTS] = "all"


class BudgetSettings(Section):
    """`budget`: caps in USD and in tokens, for a run or a day."""

    usd: Annotated[Money, Field(gt=0, le=10**9)] | None = None
    tokens: PositiveInt | None = None
    per: Literal["run", "day"] = "run"
    timezone: TimeZone = "UTC"


class RetrySettings(Section):
    """`retry`: how often and how long a row is tried."""

    max_attempts: Annotated[Integer, Field(ge=1, le=100)] = 6
    deadline_seconds: Annotated[Number, Field(gt=0, le=86_400)] = 300.0
    max_runs: PositiveInt = 3
    give_up_seconds: Annotated[Number, Field(gt=0, le=604_800)] = 600.0


class FailureSettings(Section):
    """`failures`: the share of failed rows at which a run stops early."""

    max_error_rate: Annotated[Number, Field(gt=0, le=1)] | None = None
    window: PositiveInt = 500


class ReportSettings(Section):
    """`report`: what the HTML report shows."""

    fetch: bool = False


class RunSettings(Section):
    """By how many processes a run is asked, and whose they are: this machine's, or a cluster's (in a flow)."""

    workers: Annotated[Integer, Field(ge=1, le=256)] = 1
    engine: Literal["local", "dask", "ray"] = "local"


class Job(Section):
    """One job, checked and frozen. Field names are the job file's keys.

    As JSON it shows `${NAME}` where a variable of the environment may hold a secret.
    """

    name: Annotated[
        str,
        _like(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
            "at most 100 letters, digits, '.', '_' and '-', the first a letter or digit",
        ),
        Role.NEITHER,
    ]
    manifest: ManifestSettings
    prompt: PromptSettings
    output: OutputSettings
    model: ModelSettings = ModelSettings()
    images: ImageSettings = ImageSettings()
    documents: DocumentSettings = DocumentSettings()
    limits: Annotated[LimitSettings, Role.NEITHER] = LimitSettings()
    budget: Annotated[BudgetSettings, Role.NEITHER] = BudgetSettings()
    retry: Annotated[RetrySettings, Role.NEITHER] = RetrySettings()
    failures: Annotated[FailureSettings, Role.NEITHER] = FailureSettings()
    report: Annotated[ReportSettings, Role.NEITHER] = ReportSettings()
    run: Annotated[RunSettings, Role.NEITHER] = RunSettings()
    network: Annotated[NetworkSettings, Role.NEITHER] = NetworkSettings()
    nightly: Annotated[NightlySettings, Role.NEITHER] = NightlySettings()
    _written: dict[str, Written] = PrivateAttr(default_factory=dict)

    @property
    def written(self) -> dict[str, Written]:
        """What was in the job file where variables were filled in, by key path; `load_job` notes it."""
        return self._written

    @property
    def hidden(self) -> dict[str, str]:
        """Values of variables that may be secrets, by variable."""
        return hidden_values(self._written)

    @property
    def each(self) -> tuple[Job, ...]:
        """The job as it is at each of its endpoints: with one `model.endpoint`, and that one's key and limits."""
        if self.model.endpoints is None:
            return (self,)
        return tuple(self._at(number) for number in range(len(self.model.endpoints)))

    def _at(self, number: int) -> Job:
        assert self.model.endpoints is not None
        one = self.model.endpoints[number]
        model: dict[str, Any] = {"endpoint": one.base_url, "endpoints": None}
        if one.api_key_env is not None:
            model["api_key_env"] = one.api_key_env
        update = {"model": self.model.model_copy(update=model), "limits": with_limits(self.limits, one)}
        at = self.model_copy(update=update)
        address = self._written.get(f"model.endpoints[{number}].base_url")
        at._written = {**self._written, **({"model.endpoint": address} if address is not None else {})}
        return at

    @property
    def endpoint_as_shown(self) -> str:
        """`model.endpoint` as it may stand in messages; all of `model.endpoints`."""
        if self.model.endpoints is not None:
            return ", ".join(one.endpoint_as_shown for one in self.each)
        known = self._written.get("model.endpoint")
        is_name = self.model.endpoint in ("openrouter", "emulator")
        return self.model.endpoint if is_name or known is None else known.text.rstrip("/")

    @model_serializer(mode="wrap", when_used="json")
    def _as_written(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        settings: dict[str, Any] = as_written(serialise(self), self._written)
        return settings

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the name alone: addresses may hold what no log may show."""
        return [("name", self.name)]

    @model_validator(mode="after")
    def _limits_at_each(self) -> Job:
        for number, one in enumerate(self.model.endpoints or ()):
            try:
                with_limits(self.limits, one)
            except pydantic.ValidationError as error:
                why = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"model.endpoints[{number}].limits, with the job's limits: {why}") from None
        return self

    @model_validator(mode="after")
    def _required_pictures(self) -> Job:
        if self.images.required and not (self.manifest.image_columns or self.manifest.document_columns):
            raise ValueError(
                "images.required needs manifest.image_columns (or document_columns): no column holds pictures"
            )
        return self

    @model_validator(mode="after")
    def _fresh_pictures(self) -> Job:
        if self.images.refresh and self.output.reuse_from:
            raise ValueError(
                "images.refresh and output.reuse_from exclude each other: whether the pictures behind another "
                "output's answers are still the same cannot be asked"
            )
        return self


def zone(name: str) -> ZoneInfo:
    """Return the zone of a name that the job has already checked."""
    return ZoneInfo(name)
