"""What an endpoint says of itself before the first row is sent: price, limits, abilities."""

from parquill.endpoint.connections import Endpoint, Keys, connected, facts_of, key_of, keys_of
from parquill.endpoint.facts import PRICE_TABLE, EndpointFacts, look_up
from parquill.endpoint.lookups import PATIENCE_SECONDS
from parquill.endpoint.realm import EMULATOR, is_emulated, realm_of

__all__ = [
    "EMULATOR",
    "PATIENCE_SECONDS",
    "PRICE_TABLE",
    "Endpoint",
    "EndpointFacts",
    "Keys",
    "connected",
    "facts_of",
    "is_emulated",
    "key_of",
    "keys_of",
    "look_up",
    "realm_of",
]
