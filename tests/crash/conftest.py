"""Two processes that fork runs, and the API that they work with."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storyreel.catalog import load as catalog
from tests.crash.killing import SMALL, Nursery
from tests.server import live

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nurseries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[queue.Queue[Nursery]]:
    """Two nurseries on one live API, with a model of very small pictures."""
    folder = tmp_path_factory.mktemp("crash")
    model = catalog.load().models["sora-2"].model_dump(mode="json", exclude_none=True)
    model |= {"sizes": [SMALL], "defaults": {"seconds": 4, "size": SMALL}}
    models = {"sora-2": model, "spare": model}
    (folder / "small.yaml").write_text(json.dumps({"version": 1, "models": models}))
    pool: queue.Queue[Nursery] = queue.Queue()
    with live(folder / "api", speed=1e6, models=catalog.load(folder / "small.yaml")) as api:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for process in processes:
            pool.put(Nursery(process, folder, api))
        yield pool
        for process in processes:
            process.communicate()
