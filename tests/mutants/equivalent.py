"""Changes that no behaviour shows: a mutant's name, and why. At most 3 of 100."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
