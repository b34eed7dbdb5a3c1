"""A stop ends the process where a file of manifest or output never returns; nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.e2e.kit import ROOT, rehearsal, until


async def test_a_stop_waits_for_no_disk_that_does_not_return(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        ids = [f"r{n}" for n in range(12)]
        run.write({"id": ids, "text": ids})
        job = run.job_file(output={"path": str(run.output), "rows_per_part": 4})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.e2e.hanging", str(job), cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        await asyncio.wait_for(until((tmp_path / "hangs").exists), 60)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 128 + signal.SIGTERM, err.decode()
        assert "did not return within 0.5 s: not every row stands in the output" in err.decode()
        summary = await run.run(output={"path": str(run.output), "rows_per_part": 4})
        assert (summary.exit_status, run.column("id")) == (0, ids)
        assert summary.requests < len(ids), "what was answered before the stop is not asked again"
