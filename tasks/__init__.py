"""Prefect tasks. Each wraps one step of the engine, never one row.

    plan.py       what there is to do
    execute.py    the run itself; cluster.py: the workers that it is spread over; portion.py: one of their portions
    estimate.py   what it would cost, and the gate of a night
    publish.py    the report, and artifacts of what came out
    verify.py     the proof that it matches
    notify.py     word of it to people outside
    key.py        the endpoint's key, wherever it is kept
    progress_artifact.py   a run seen from the server while it goes, and stopped from there
    states.py     how a run's end is a flow run's state
    figures.py    figures as the rows of a table; cost_chart.py: cost over time as a picture

Arguments and results are paths and frozen values, and none is kept by Prefect: what a run must
not lose stands in its output and its ledger. The engine is imported when a task runs, so that a
worker or a deployment that only looks at a flow loads nothing heavy.
"""
