"""The engine against software that others wrote; run by `make test-real`."""
