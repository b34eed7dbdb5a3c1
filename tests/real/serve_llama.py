"""Run in the server's environment: llama.cpp's own HTTP server, as xllamacpp carries it.

python serve_llama.py MODEL PORT SLOTS TEMPLATE ALIAS [VISION]; says "listening" and serves until
it is ended. Each slot has a context of 4096 tokens.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import xllamacpp

CONTEXT = 4096


def main(model: str, port: str, slots: str, template: str, alias: str, vision: str = "") -> None:
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.hostnames, settings.port = ["127.0.0.1"], int(port)
    settings.n_parallel, settings.n_ctx = int(slots), int(slots) * CONTEXT
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 2
    settings.cpuparams.poll = settings.cpuparams_batch.poll = 0  # threads that spin while they wait starve each other
    settings.model_alias = {alias}
    settings.use_jinja, settings.chat_template = True, Path(template).read_text(encoding="utf-8")
    settings.endpoint_metrics = settings.offline = True
    if vision:
        settings.mmproj.path = vision
    server = xllamacpp.Server(settings)
    print("listening at", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
