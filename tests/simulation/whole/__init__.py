"""Whole runs under one seed: event loop, clock, network, disk and kills are simulated, the rest is Parquill's own.

    loop.py        an event loop whose time jumps from timer to timer, and whose threads are none
    machine.py     the clock that jumps, the ledger's writer, and the moment of death
    endpoint.py    an endpoint in memory, with its faults, its odd usage and its own bill
    plans.py       what a seed draws: job, rows, faults, kills, jumps
    lives.py       one process after the other, each forked, until the job is done
    guarantees.py  what every seed is held against
    __main__.py    `python -m tests.simulation.whole --seeds 1000`, or `--seed N` to see one again

Real: the whole of `run_job`, its portions, SQLite, Parquet and files (in memory, under /dev/shm).
Not simulated: pictures, HTTP itself, power cuts (tests of the ledger and of storage have those), a portion
that dies alone, and a clock set back while portions are asked.
"""
