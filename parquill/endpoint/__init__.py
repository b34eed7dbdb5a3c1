"""What an endpoint says of itself before the first row is sent: price, limits, abilities."""

from parquill.endpoint.connections import Endpoint, Keys, connected, facts_of, key_of, keys_of
from parquill.endpoint.facts import EMULATOR, PRICE_TABLE, EndpointFacts, look_up, realm_of
from parquill.endpoint.lookups import PATIENCE_SECONDS

__all__ = [
    "EMULATOR",
    "PATIENCE_SECONDS",
    "PRICE_TABLE",
    "Endpoint",
    "EndpointFacts",
    "Keys",
    "connected",
    "facts_of",
    "key_of",
    "keys_of",
    "look_up",
    "realm_of",
]
