"""What a request costs: exact prices, where they come from, and the worst they can be.

- `rates.py`: `Rates` and `Price`, integers of 10**-18 USD per token; costs in pico-USD.
- `offers.py`: what an endpoint's `/models/{name}/endpoints` and `/models` say, read only.
- `price_table.py`: the dated table in `data/prices.json`, and the same work at other prices.
- `choice.py`: which of these holds, in the contract's order, and the worst that may be billed.
- `ratio.py`: amounts held against each other, the one place where money is divided.
- `drift.py`: answers that were billed otherwise than the price says.
- `paid_over_listed.py`: what rows cost beyond one answer, from usage records.

Invariants: money is never a float; `worst_pico` is never below `cost_pico` of the same tokens at
any provider the request may reach. The look-up over HTTP is the client's; nothing here waits.
"""

from parquill.prices.choice import choose_price, max_price, of_several, with_fallbacks
from parquill.prices.drift import Drift
from parquill.prices.offers import EndpointOffer, allowed_offers, parse_endpoints, parse_models
from parquill.prices.paid_over_listed import Surplus
from parquill.prices.price import Price, PriceSource
from parquill.prices.price_table import STALE_DAYS, CostRow, compare, read_table, staleness, table_price
from parquill.prices.rates import ATTO_PER_PICO, Rates, Tier
from parquill.prices.ratio import change_told, differs, ratio

__all__ = [
    "ATTO_PER_PICO",
    "STALE_DAYS",
    "CostRow",
    "Drift",
    "EndpointOffer",
    "Price",
    "PriceSource",
    "Rates",
    "Surplus",
    "Tier",
    "allowed_offers",
    "change_told",
    "choose_price",
    "compare",
    "differs",
    "max_price",
    "of_several",
    "parse_endpoints",
    "parse_models",
    "ratio",
    "read_table",
    "staleness",
    "table_price",
    "with_fallbacks",
]
