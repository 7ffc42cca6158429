"""Compare the first clip of each model with its request before the run pays for more of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from storyreel.errors import FieldsIgnored, Stage
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.run.comparison import ignored, unlike

if TYPE_CHECKING:
    from storyreel.run.session import Session


class FirstLook:
    """Compare the first clip of each model, and let its other takes wait until then."""

    def __init__(self, *, accept_differences: bool = False) -> None:
        self._accept_differences = accept_differences
        # By model: its first finished take, and the event that its comparison sets.
        self._first: dict[str, tuple[int, asyncio.Event]] = {}
        self._compared: set[str] = set()
        # By model: how its clip differs from the request.
        self._ignored: dict[str, FieldsIgnored] = {}
        self._warned: set[str] = set()

    def finished(self, model: str, take_id: int) -> None:
        """Note that a job of this model is finished. Takes of the model wait for the first clip."""
        if model not in self._compared and model not in self._first:
            self._first[model] = (take_id, asyncio.Event())

    @contextlib.contextmanager
    def of(self, model: str, take_id: int) -> Iterator[None]:
        """Download and compare the take's clip inside the block.

        Its end lets the waiting takes go on, also where the clip could not be downloaded.
        """
        try:
            yield
        finally:
            first, compared = self._first.get(model, (None, None))
            if compared is not None and first == take_id:
                compared.set()

    async def wait(self, model: str) -> FieldsIgnored | None:
        """Wait until the first finished clip of a model was compared.

        Return how it differs, unless differences are accepted.
        """
        if model in self._first:
            await self._first[model][1].wait()
        return self._ignored.get(model)

    def release(self) -> None:
        """Let all waiting takes go on: the run submits nothing more."""
        for _, compared in self._first.values():
            compared.set()

    def needs_warning(self, model: str) -> bool:
        """Return True once for each model: an answer that differs is shown once."""
        is_new = model not in self._warned
        self._warned.add(model)
        return is_new

    def compare(self, session: Session, scene: Scene, take: Take) -> None:
        """Compare the first clip of a model in this run with its request.

        Keep and use the clip: it is paid for. Stop the run if this run made the clip. If an
        earlier run made it, stop only where more of the model is to be submitted.
        """
        from storyreel.run.looking import likenesses  # both import the session that holds this
        from storyreel.run.session import Progress

        if scene.model in self._compared:
            return
        self._compared.add(scene.model)
        differences = (ignored(scene, take.clip) if take.clip else []) + unlike(
            likenesses(session, scene, take)
        )
        if not differences:
            return
        words = (
            f"{session.endpoint} ignores what {scene.model} was asked for (scene `{scene.id}`): "
            f"{'; '.join(differences)}"
        )
        session.on_progress(Progress(take.scene, take.take, Stage.COLLECTING, words))
        if self._accept_differences:
            return
        self._ignored[scene.model] = FieldsIgnored(
            words,
            fix="have the endpoint honour the field, or write what it makes into the storyboard; "
            "--accept-differences goes on",
        )
        if take.run_id == session.run_id:
            session.stop(self._ignored[scene.model])
