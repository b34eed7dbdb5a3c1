"""Amounts of money as text, and back: the one place that knows how they are scaled.

Inside the program an amount is a whole number of pico-USD (10**-12 USD), a price per token a whole number of
atto-USD (10**-18 USD). Outside it is a decimal string of USD. Nothing here rounds but what is shown to people.
"""

from __future__ import annotations

from decimal import Decimal

PICO = 10**12
"""Pico-USD in a dollar."""


def to_pico(amount: Decimal) -> int:
    """Convert dollars to pico-USD.

    Args:
        amount: USD.

    Returns:
        Pico-USD; what is finer than that is cut off.
    """
    return int(amount * PICO)


def usd(amount_pico: int) -> str:
    """Write an amount for programs: exact, without an exponent or idle zeros.

    Args:
        amount_pico: pico-USD.

    Returns:
        USD as a decimal string: 1_500_000 -> "0.0000015".
    """
    return _scaled(amount_pico, 12)


def usd_per_token(atto: int) -> str:
    """Write a price for programs: USD a token as an exact decimal string; `atto` is in 10**-18 USD a token."""
    return _scaled(atto, 18)


def usd_per_million(atto: int) -> str:
    """Write a price as USD for a million tokens, exact; `atto` is in 10**-18 USD a token."""
    return _scaled(atto, 12)


def dollars(amount_pico: int) -> str:
    """Write an amount for people: cents from a dollar up, below it as many figures as count.

    Args:
        amount_pico: pico-USD.

    Returns:
        Dollars with their sign: 2 * 10**12 -> "$2.00", 1_500_000 -> "$0.0000015".
    """
    sign, amount = "-" if amount_pico < 0 else "", Decimal(abs(amount_pico)).scaleb(-12)
    if amount == 0 or amount >= 1:
        return f"{sign}${amount:,.2f}"
    places = 4 if amount >= Decimal("0.01") else 1 - amount.adjusted()
    whole, _, part = f"{amount:.{places}f}".partition(".")
    return f"{sign}${whole}.{part.rstrip('0').ljust(2, '0')}"


def short_dollars(amount_pico: float) -> str:
    """Write an amount in three figures, for an axis or a comparison: $0, $0.05, $12; `amount_pico` in pico-USD."""
    amount = Decimal(f"{Decimal(amount_pico).scaleb(-12):.3g}")
    return f"${amount.normalize():,f}" if amount else "$0"


def _scaled(units: int, digits: int) -> str:
    text = format(Decimal(units).scaleb(-digits), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
