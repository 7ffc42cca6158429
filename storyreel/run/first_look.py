"""The first clip of each model in a run is compared with its request before more of that model is
paid for.
"""

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
    """What a run knows of each model's first clip.

    Takes of a model wait here until its first one was compared.
    """

    def __init__(self, *, accept_differences: bool = False) -> None:
        self._accept_differences = accept_differences
        self._first: dict[str, tuple[int, asyncio.Event]] = {}  # by model: its first finished take
        self._compared: set[str] = set()
        self._ignored: dict[
            str, FieldsIgnored
        ] = {}  # by model: how its clip differs from the request

    def finished(self, model: str, take_id: int) -> None:
        """A job of this model is finished: if it is the first, what follows waits for its clip."""
        if model not in self._compared and model not in self._first:
            self._first[model] = (take_id, asyncio.Event())

    @contextlib.contextmanager
    def of(self, model: str, take_id: int) -> Iterator[None]:
        """Within it the take's clip is downloaded and compared.

        At its end those that wait go on, with a clip or without.
        """
        try:
            yield
        finally:
            first, compared = self._first.get(model, (None, None))
            if compared is not None and first == take_id:
                compared.set()

    async def wait(self, model: str) -> FieldsIgnored | None:
        """Wait until the first finished clip of a model was compared.

        Returns how it differs, if that is not accepted.
        """
        if model in self._first:
            await self._first[model][1].wait()
        return self._ignored.get(model)

    def release(self) -> None:
        """Let all that wait go on: nothing more is sent."""
        for _, compared in self._first.values():
            compared.set()

    def compare(self, session: Session, scene: Scene, take: Take) -> None:
        """Compare the first clip of a model in this run with its request.

        The clip stays, and is used: it is paid for. One that was made in this run stops the run; an
        earlier one stops it only where more of that model is to be sent.
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
        session.tell(Progress(take.scene, take.take, Stage.COLLECTING, words))
        if self._accept_differences:
            return
        self._ignored[scene.model] = FieldsIgnored(
            words,
            fix="have the endpoint honour the field, or write what it makes into the storyboard; "
            "--accept-differences goes on",
        )
        if take.run_id == session.run_id:
            session.stop(self._ignored[scene.model])
