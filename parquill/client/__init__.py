"""The endpoint's client: `complete` makes exactly one attempt and reports its outcome.

- `transport.py`: what a run needs of it, as an interface;
- `client.py`: the session, the key, and what an attempt at the wire came to;
- `redactor.py`: the job's secrets taken out of what comes back;
- `wire.py`: one POST over aiohttp's connections, with a prebuilt head;
- `pool.py`, `connection.py`: which connections are kept, and what each byte on them means;
- `request_ids.py`: which request a reply answers; `tcp.py`: what the operating system knows;
- `deadlines.py`: one timer for all that is under way.
"""

from parquill.client.client import Client
from parquill.client.transport import Transport

__all__ = [
    "Client",
    "Transport",
]
