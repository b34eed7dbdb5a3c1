"""Prefect tasks: plan, execute, publish. Each wraps one step of the engine, never one row."""
