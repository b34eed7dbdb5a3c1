"""What runs in the worker processes: decoders that read hostile bytes, and nothing else.

A worker is started by `images.pool` with an empty environment, hard limits on memory, open
files and file size, and one socket to its parent. It imports this package, `parquill.errors`,
`parquill.images.kinds`, Pillow and pypdfium2, never the rest of Parquill: it starts in a
tenth of a second. On Linux a decoder that is taken over makes no socket, starts no program and
looks into no other process (`isolation.py`, which also says what does not hold).

* `messages` — the messages on the socket, both ways.
* `decoder_worker` — the worker's main loop and its limits.
* `isolation` — what the kernel refuses it.
* `pictures` — one picture in, one shrunk picture out (Pillow).
* `pages` — one PDF in, its pages as pictures or its text out (pypdfium2).
"""
