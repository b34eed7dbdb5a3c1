"""The job: what a user writes in a job file, checked before anything is sent.

`load_job` takes a path, a mapping or a `Job`, applies overrides, fills `${NAME}` from the
environment and `{date}` in paths, and returns a frozen `Job`. Each package receives its own
part of it (`job.limits`, `job.images`), never the whole. This is the only package that reads
the environment; the API key is wrapped in `Secret` there and never becomes part of a job.
"""

from parquill.job.access import Access, read_access
from parquill.job.deciding import Role, Setting, settings_of
from parquill.job.endpoints import OPENROUTER_URL, EndpointSettings, LimitSettings
from parquill.job.environment import (
    Secret,
    api_key,
    cluster_address,
    find_api_key,
    read_api_key,
    state_home,
    wants_api_key,
)
from parquill.job.gateways import UNIX, NetworkSettings, RequestTags, unix_socket
from parquill.job.loading import load_job, load_written, parse_kinds, parse_retry
from parquill.job.nightly import NightlySettings, NotifySettings
from parquill.job.settings import (
    BudgetSettings,
    DocumentSettings,
    Example,
    FailureSettings,
    FunctionSettings,
    ImageSettings,
    Job,
    ManifestSettings,
    ModelSettings,
    OutputSettings,
    PriceSettings,
    PromptSettings,
    ReportSettings,
    RetrySettings,
    RunSettings,
    zone,
)
from parquill.job.unexpanded import is_only_variables

__all__ = [
    "OPENROUTER_URL",
    "UNIX",
    "Access",
    "BudgetSettings",
    "DocumentSettings",
    "EndpointSettings",
    "Example",
    "FailureSettings",
    "FunctionSettings",
    "ImageSettings",
    "Job",
    "LimitSettings",
    "ManifestSettings",
    "ModelSettings",
    "NetworkSettings",
    "NightlySettings",
    "NotifySettings",
    "OutputSettings",
    "PriceSettings",
    "PromptSettings",
    "ReportSettings",
    "RequestTags",
    "RetrySettings",
    "Role",
    "RunSettings",
    "Secret",
    "Setting",
    "api_key",
    "cluster_address",
    "find_api_key",
    "is_only_variables",
    "load_job",
    "load_written",
    "parse_kinds",
    "parse_retry",
    "read_access",
    "read_api_key",
    "settings_of",
    "state_home",
    "unix_socket",
    "wants_api_key",
    "zone",
]
