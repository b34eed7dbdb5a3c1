"""Prefect flows, one file for each kind of job."""
