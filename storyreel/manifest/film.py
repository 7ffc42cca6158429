"""Check what the film needs: music with sound, captions that can be drawn and read."""

from __future__ import annotations

from pathlib import Path

from storyreel.catalog.load import parse_size
from storyreel.errors import MediaError
from storyreel.manifest.draft import Draft
from storyreel.manifest.faults import Severity
from storyreel.manifest.resolve import Resolver
from storyreel.manifest.storyboard import Scene

SHOWN = 8  # characters that are named in one warning


def check_music(resolver: Resolver, file: Path, name: str) -> None:
    """Note an error if the music has no sound that can be decoded."""
    from storyreel.film.media import music

    try:
        music.inspect(file)
    except MediaError as error:
        at = resolver.source.at(("cut", "music", "file"))
        resolver.source.error(at, f"`{name}` {error.message}", error.fix or "name a file of sound")


def check_captions(resolver: Resolver) -> None:
    """Warn of burned captions that cannot be drawn, or fill the picture."""
    if resolver.document.cut.subtitles != "burned":
        return
    for draft in resolver.drafts.all:
        scene = resolver.scenes.get(draft.id)
        if scene and scene.caption:
            _caption(resolver, draft, scene, scene.caption)


def _caption(resolver: Resolver, draft: Draft, scene: Scene, text: str) -> None:
    from storyreel.film.media import font, subtitle

    at = resolver.source.at(draft.path("caption"))

    def warn(message: str, fix: str) -> None:
        resolver.source.error(at, message, fix, Severity.WARNING)

    lacking = font.missing(text)
    if lacking:
        named = ", ".join(f"`{c}` (U+{ord(c):04X})" for c in lacking[:SHOWN])
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        warn(
            f"the caption has characters for which there is no letter in our fonts: {named}{more}",
            "write it without them, or set `cut.subtitles: soft`, which the player draws",
        )
    if font.misshapen(text):
        warn(
            "the caption needs letters that are joined or read from the right, and this "
            "machine lacks libfribidi",
            "install it, e.g. `apt install libfribidi0`, or set `cut.subtitles: soft`",
        )
    if "x" in scene.size and subtitle.is_crowded(text, parse_size(scene.size)):
        warn(
            f"the caption fills more than a third of the picture at {scene.size}",
            "shorten it, or share it among scenes",
        )
