"""Key and credit: who may ask, what was spent, what running requests hold.

All money is integer pico-USD. The holds of the in-flight budget are worst cases: prompt
tokens and `max_tokens`, released when a request is answered.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable
from decimal import Decimal

from parquill.clock import Clock
from parquill.emulator import error_replies
from parquill.emulator.settings import EmulatorSettings, pico
from parquill.emulator.wire import Charge
from parquill.money import PICO


class Account:
    """The one account of an emulator. `settings` is asked anew each time: tests change it."""

    def __init__(self, settings: Callable[[], EmulatorSettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._revoked = False
        self._labels: dict[str, str] = {}
        keys = settings().api_keys
        self.api_key = keys[0] if keys else f"sk-or-v1-{os.urandom(32).hex()}"
        self.used_pico = 0
        self.held_pico = 0

    def authorize(self, header: str | None) -> str:
        """Return a label for the key in an Authorization header; raises the 401 `ErrorReply`.

        No key is needed for a server at home, nor where the settings name none: then any key will do, too.
        """
        known = self._settings().api_keys
        if self._settings().dialect != "openrouter" or (not header and known is None and not self._revoked):
            return "local"
        label = self._labels.get(header or "")
        if label is not None and not self._revoked:
            return label
        if not header:
            raise error_replies.classic(401, "Missing Authentication header", error_type="authentication")
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise error_replies.classic(401, "No auth credentials found", error_type="authentication")
        if self._revoked or (known is not None and key.strip() not in known):
            raise error_replies.classic(401, "Invalid credentials", error_type="authentication")
        label = f"key-{hashlib.sha256(key.strip().encode()).hexdigest()[:8]}"
        self._labels[header] = label
        return label

    def revoke(self) -> None:
        """From now on every key is refused."""
        self._revoked = True

    def check_funds(self) -> None:
        """Raise the `ErrorReply` (402, 403) of an account, key or guardrail that has nothing left."""
        settings = self._settings()
        if settings.credit_usd is not None and self.remaining(settings.credit_usd) <= 0:
            raise error_replies.no_credit()
        if settings.key_limit_usd is not None and self.remaining(settings.key_limit_usd) <= 0:
            raise error_replies.key_limit()
        if settings.guardrail_usd is not None and self.remaining(settings.guardrail_usd) <= 0:
            raise error_replies.guardrail_budget(
                float(settings.guardrail_usd), self.used_pico / PICO, midnight(self._clock.wall())
            )

    def hold(self, worst: Charge) -> int:
        """Hold a worst case and return what was held; raises the 402 `ErrorReply` that it meets."""
        settings = self._settings()
        caps = [pico(settings.in_flight_budget_usd)] if settings.in_flight_budget_usd is not None else []
        if settings.credit_usd is not None:
            caps.append(self.remaining(settings.credit_usd))
        if caps and worst.pico > min(caps):
            each = max(1, worst.completion_pico // max(1, worst.completion_tokens))
            affordable = max(0, min(caps) - worst.prompt_pico) // each
            raise error_replies.weight_exceeds_budget(worst.completion_tokens, affordable)
        if settings.in_flight_budget_usd is not None and self.held_pico + worst.pico > caps[0]:
            raise error_replies.in_flight_budget()
        self.held_pico += worst.pico
        return worst.pico

    def release(self, held: int) -> None:
        """Give back what `hold` returned."""
        self.held_pico -= held

    def remaining(self, limit_usd: Decimal) -> int:
        """Return what is left of a limit in pico-USD; below zero when it was passed."""
        return pico(limit_usd) - self.used_pico


def midnight(wall: float) -> str:
    """Return the next UTC midnight in ISO form."""
    day = dt.datetime.fromtimestamp(wall, dt.UTC).date() + dt.timedelta(days=1)
    return f"{day.isoformat()}T00:00:00Z"
