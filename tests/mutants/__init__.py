"""Mutation testing of the code that guards money, limits, completeness and safety: `make mutants`.

targets.py     which modules are changed, and which tests judge them
operators.py   one small change of a module at a time
coverage.py    which tests run which line, measured once
runner.py      a copy of the project with one change, and the tests that run the changed line
forks.py       the process that runs tests in a copy, each time in a fork
known.py       changes made by hand that break what users rely on
equivalent.py  changes that no behaviour shows, each with the reason
__main__.py    the command: the sample, the score, the survivors

An own runner, because mutmut rewrites modules to call every variant through a trampoline (which asyncio's tasks and
frozen classes do not survive) and cosmic-ray runs the whole suite for each change.
"""
