"""What single settings of the way to an endpoint may hold: headers, queries and bodies that gateways want, proxies.

A validator's message is read after "should be" and does not repeat the value, which may be a secret.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from parquill.job.setting_types import Section, like

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_OWN_HEADERS = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "x-request-id",
    }
)  # fmt: skip
"""Headers that follow from the connection and the body, or that are another for each request."""
_OWN_KEYS = frozenset(
    {
        "max_completion_tokens", "max_tokens", "messages", "metadata", "model", "models", "n", "provider",
        "response_format", "seed", "stop", "stream", "stream_options", "temperature", "tool_choice", "tools",
        "top_k", "top_p", "user",
    }
)  # fmt: skip
"""Keys of a body that other settings stand for, or without which no single answer comes back."""

UNIX = "http+unix://"


def is_base_url(text: str) -> bool:
    """Whether a text is an http(s) URL that paths can be put behind: no credentials, no query.

    So is `http+unix://%2Frun%2Fserver.sock/v1`: the path of a Unix socket, percent-encoded, in the host's place.
    """
    if not re.fullmatch(r"(https?|http\+unix)://[^/\s@?#]+(/[^\s?#]*)?", text):
        return False
    if text.startswith(UNIX):
        return unix_socket(text).startswith("/") and "\0" not in unix_socket(text)
    try:
        parts = urlsplit(text)
        return parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False


def unix_socket(url: str) -> str:
    """Return the path of the Unix socket that a base URL names; empty where it names none."""
    return unquote(url.removeprefix(UNIX).partition("/")[0]) if url.startswith(UNIX) else ""


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(_NAME, name) or not re.fullmatch(r"[ -~]*", value):
            raise ValueError("headers: names and values of printable ASCII, without line breaks")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"headers other than {name.title()}, which Parquill sets itself")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("headers of different names: letter case makes no difference")
    return headers


def _body(body: dict[str, Any]) -> dict[str, Any]:
    for name in body:
        if name in _OWN_KEYS:
            raise ValueError(f"keys without a setting of their own: {name} is set by model, output or request_tags")
    return body


def _proxy(text: str) -> str:
    if text not in ("environment", "none") and not is_proxy_url(text):
        raise ValueError("'environment', 'none' or the URL of an HTTP proxy, like http://proxy.example:3128")
    return text


def is_proxy_url(text: str) -> bool:
    """Whether a text is the URL of an HTTP proxy; credentials may stand in it."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


ExtraHeaders = Annotated[dict[str, str], AfterValidator(_headers)]
ExtraBody = Annotated[dict[str, Any], AfterValidator(_body)]
KeyHeader = Annotated[
    str,
    like(
        rf"none|{_NAME}(: ?{_NAME})?",
        "the name of a header, with what stands before the key ('Authorization: Bearer', 'api-key'), or 'none'",
    ),
]


class RequestTags(Section):
    """What a gateway or a provider counts and sorts requests by; no part of what decides an answer."""

    user: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class NetworkSettings(Section):
    """How the endpoint is reached; addresses in manifests are always fetched directly."""

    proxy: Annotated[str, AfterValidator(_proxy)] = "environment"
    ca_bundle: str | None = None
