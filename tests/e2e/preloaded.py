"""What the server of `forked.py` imports before it forks: all that commands load while they work."""

import gc
import importlib

# pyarrow looks for pandas at its first array
for name in (
    *("pandas", "parquill.cli", "parquill.doctor", "parquill.estimation", "parquill.report.write"),
    *("parquill.running", "parquill.terminal", "parquill.verification", "tests.e2e.dying"),
):
    importlib.import_module(name)

gc.freeze()  # a collection in a fork leaves alone, and unshared, what all of them share
