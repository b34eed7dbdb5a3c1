"""How a job's endpoint is reached: headers, query, proxy, certificates, from the job and the environment.

Guarantees: what is secret in it is shown by no `repr`, and `hidden` names it for the redactor.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from parquill.errors import JobError
from parquill.job.endpoints import OPENROUTER_URL
from parquill.job.environment import Secret, without_quotes
from parquill.job.gateways import UNIX, is_proxy_url
from parquill.job.settings import Job

_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_SECRET_NAME = re.compile(r"authorization|api.?key|token|secret|password|cookie|subscription-key", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""Letters; what is shorter ("none", "EMPTY") is a key in name only."""
DEFAULT_KEY_HEADER = "Authorization: Bearer"


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one endpoint."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_header: str = DEFAULT_KEY_HEADER
    proxy: str | None = field(default=None, repr=False)
    """An HTTP proxy's URL, perhaps with credentials."""
    proxy_origin: str = ""
    """The setting or variable that names it."""
    ca_bundle: str | None = None
    """A file, or a folder, of the certificates that are trusted instead of the system's."""
    ca_origin: str = ""

    @property
    def hidden(self) -> dict[str, str]:
        """What no reply may bring into a file or a message, by the name that is shown instead."""
        if self.proxy is None:
            return {}
        parts = urlsplit(self.proxy)
        password = parts.password or ""
        return {self.proxy_origin: password, f"{self.proxy_origin}, decoded": unquote(password)} if password else {}

    @property
    def shown(self) -> str:
        """Say in words what is used, without a secret; empty where nothing but the defaults is."""
        told = []
        if self.proxy is not None:
            told.append(f"through the proxy {_server(self.proxy)} ({self.proxy_origin})")
        if self.ca_bundle is not None:
            told.append(f"certificates of {self.ca_bundle} ({self.ca_origin})")
        if self.headers:
            told.append(f"with the headers {', '.join(self.headers)}")
        if self.query:
            told.append(f"with {', '.join(self.query)} in the query")
        if self.key_header != DEFAULT_KEY_HEADER:
            told.append("without a key" if self.key_header == "none" else f"the key in {self.key_header}")
        return "; ".join(told)

    def key_headers(self, key: Secret | None) -> dict[str, str]:
        """Return the header that carries the key; nothing where there is none, or none is wanted."""
        if key is None or self.key_header == "none":
            return {}
        name, _, word = self.key_header.partition(":")
        word, value = word.strip(), key.reveal()
        if word.lower() == "basic" and ":" in value:
            value = base64.b64encode(value.encode()).decode()
        return {name: f"{word} {value}" if word else value}


def read_access(job: Job, environ: Mapping[str, str] | None = None) -> Access:
    """Return the way to a job's endpoint.

    Raises `JobError` for a proxy or certificates that cannot be used, and for a secret written in the job file.
    """
    env = os.environ if environ is None else environ
    url = OPENROUTER_URL if job.model.endpoint == "openrouter" else job.model.endpoint
    if url == "emulator":
        return Access()
    _refuse_plain_secrets(job)
    proxy, proxy_origin = _find_proxy(job.network.proxy, url, env)
    encrypted = url.startswith("https:") or (proxy or "").startswith("https:")
    bundle, ca_origin = _find_bundle(job.network.ca_bundle, env) if encrypted else (None, "")
    return Access(
        headers=job.model.extra_headers,
        query=job.model.extra_query,
        key_header=job.model.api_key_header,
        proxy=proxy,
        proxy_origin=proxy_origin,
        ca_bundle=bundle,
        ca_origin=ca_origin,
    )


def _refuse_plain_secrets(job: Job) -> None:
    """A job file is copied into records and shown; a secret stands in the environment."""
    model = job.model
    texts = {f"model.extra_headers.{name}": value for name, value in model.extra_headers.items()}
    texts |= {f"model.extra_query.{name}": value for name, value in model.extra_query.items()}
    plain = [key for key, text in texts.items() if _SECRET_NAME.search(key) and len(text) >= _SHORTEST_SECRET]
    if urlsplit(job.network.proxy).password:
        plain.append("network.proxy")
    for key in plain:
        if key not in job.written:
            raise JobError(f"{key}: a secret stands in the job file; put it into the environment and write ${{NAME}}")


def _find_proxy(setting: str, url: str, env: Mapping[str, str]) -> tuple[str | None, str]:
    if setting == "none" or url.startswith(UNIX):
        return None, ""
    if setting != "environment":
        return setting, "network.proxy"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_this_machine(host):
        return None, ""
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if not (value := _variable(env, variable)):
                continue
            outside = env.get("no_proxy") or env.get("NO_PROXY") or ""
            if _goes_direct(host, parts.port, outside):
                return None, ""
            value = value if "://" in value else f"http://{value}"
            if not is_proxy_url(value):
                raise JobError(
                    f"the environment variable {variable}: only HTTP proxies (http://host:port) can be used for the "
                    "endpoint. Name one in network.proxy, or set network.proxy: none"
                )
            return value, variable
    return None, ""


def _goes_direct(host: str, port: int | None, outside: str) -> bool:
    """Whether NO_PROXY names a host: as `*`, its name, the end of its name, its address or a network."""
    for entry in (one.strip().lower() for one in outside.split(",")):
        name, _, own_port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        name = name.removeprefix("*").strip("[]").lstrip(".")
        if own_port and own_port != str(port):
            continue
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))) or _is_within(host, name):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _is_this_machine(host: str) -> bool:
    """A proxy elsewhere cannot reach what listens here; curl needs NO_PROXY for it, browsers do not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _find_bundle(setting: str | None, env: Mapping[str, str]) -> tuple[str | None, str]:
    named = [("network.ca_bundle", setting or "")] + [(name, _variable(env, name)) for name in _BUNDLES]
    for origin, path in named:
        if path:
            if not Path(path).exists():
                raise JobError(f"{origin}: there is no file or folder {path}: it should hold certificates (PEM)")
            return path, origin
    return None, ""


def _variable(env: Mapping[str, str], name: str) -> str:
    return without_quotes(env.get(name, "").strip(), f"the environment variable {name}")


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
