"""Check the files that a storyboard names: they exist, fit the models, and fit the film."""

from __future__ import annotations

from pathlib import Path

from storyreel.catalog.load import Catalog, Model, parse_size
from storyreel.errors import MediaError
from storyreel.manifest import film, nearby
from storyreel.manifest import prompt as prompts
from storyreel.manifest.faults import listing, nearest
from storyreel.manifest.places import YamlPath
from storyreel.manifest.resolve import Resolver
from storyreel.manifest.storyboard import FileImage

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_SOUNDS = (".mp3", ".wav", ".m4a", ".aac", ".flac", ".ogg", ".opus")
HARD_LIMIT_BYTES = 64 * 1024 * 1024


def _like(text: str) -> tuple[str, ...]:
    """Return the suffixes to guess among: pictures for a picture, sounds for a sound."""
    suffix = Path(text).suffix.lower()
    return next(
        (kind for kind in (_PICTURES, _SOUNDS) if suffix in kind), () if suffix else _PICTURES
    )


class Stills:
    """Checks every picture file once."""

    def __init__(self, resolver: Resolver, catalog: Catalog, folder: Path) -> None:
        self.r = resolver
        self.source = resolver.source
        self.catalog = catalog
        self.folder = folder.resolve()
        self.seen: dict[str, tuple[str, int, int, int] | None] = {}

    def run(self) -> None:
        """Check every picture and the music."""
        for name, place in self.r.document.keyframes.items():
            if "://" not in place and not place.startswith("data:"):
                self._look(
                    prompts.replace(place, self.r.texts.variables) if "${" in place else place,
                    ("keyframes", name),
                )
        for place, path in self.r.references.files.items():  # also of scenes that have faults
            self._look(place, path)
        for draft in self.r.drafts.all:
            scene = self.r.scenes.get(draft.id)
            model = self.catalog.models.get(scene.model) if scene else None
            if scene is None or model is None:
                continue
            for role, image in scene.images:
                if isinstance(image, FileImage):
                    name, _, number = role.partition(".")
                    path = draft.path(name) if not number else (*draft.path(name), int(number) - 1)
                    self._judge(image, path, model, scene.model, scene.size, scene.fit)
        music = self.r.document.cut.music
        if music:
            file = self._inside(music.file, ("cut", "music", "file"))
            if file:
                film.check_music(self.r, file, music.file)
        film.check_captions(self.r)

    def _inside(self, text: str, path: YamlPath) -> Path | None:
        """Return the file if it exists inside the storyboard's folder; else note a fault."""
        at = self.source.at(path)
        if "\\" in text or Path(text).is_absolute() or text.startswith("~"):
            self.source.error(
                at,
                f"`{text}` is not a path relative to the storyboard",
                "write it from the storyboard's folder, with `/`",
            )
            return None
        try:
            file = (self.folder / text).resolve()
            if not file.is_relative_to(self.folder):
                self.source.error(
                    at,
                    f"`{text}` leaves the storyboard's folder",
                    "move the file into the folder of the storyboard",
                )
                return None
            if not file.exists():
                guess = nearest(text, ["previous"]) or nearby.guess(self.folder, text, _like(text))
                hint = f"; did you mean `{guess}`?" if guess else ""
                fix = (
                    f"write `{guess}`"
                    if guess
                    else "check the path; it starts at the storyboard's folder"
                )
                self.source.error(at, f"there is no file `{text}`{hint}", fix)
                return None
            if not file.is_file():
                self.source.error(at, f"`{text}` is not a file", "name a file")
                return None
        except (OSError, RuntimeError, ValueError) as error:
            self.source.error(
                at, f"`{text}` cannot be opened: {error}", "check the path and its permissions"
            )
            return None
        return file

    def _look(self, text: str, path: YamlPath) -> tuple[str, int, int, int] | None:
        """Return (format, width, height, bytes) of a picture file; else note a fault and return
        None.
        """
        if text in self.seen:
            return self.seen[text]
        self.seen[text] = None
        file = self._inside(text, path)
        if file is None:
            return None
        from storyreel.film.media import still

        try:
            self.seen[text] = still.inspect(file, HARD_LIMIT_BYTES)
        except MediaError as error:
            self.source.error(
                self.source.at(path),
                f"`{text}` {error.message}",
                error.fix or "use a PNG or JPEG picture",
            )
        return self.seen[text]

    def _judge(
        self, image: FileImage, path: YamlPath, model: Model, name: str, size: str, fit: str
    ) -> None:
        facts = self._look(image.path, path)
        if facts is None:
            return
        kind, width, height, count = facts
        rule, at = model.image, self.source.at(path)
        if kind not in rule.formats:
            self.source.error(
                at,
                f"`{image.path}` is {kind.upper()}; {name} takes {listing(rule.formats)}",
                "convert it to PNG",
            )
        if rule.max_bytes and count > rule.max_bytes:
            self.source.error(
                at,
                f"`{image.path}` has {count / 2**20:.1f} MiB; {name} takes "
                f"{rule.max_bytes / 2**20:g} MiB",
                "save it smaller, e.g. as JPEG",
            )
        if (
            rule.exact_size
            and fit == "refuse"
            and (width, height) != parse_size(size)
            and size in model.sizes
        ):
            self.source.error(
                at,
                f"`{image.path}` is {width}x{height}; {name} at size {size} takes exactly {size}",
                f"make the picture {size}, or add `fit: crop` or `fit: pad` to the scene",
            )
        elif rule.min_px and min(width, height) < rule.min_px and not rule.exact_size:
            self.source.error(
                at,
                f"`{image.path}` is {width}x{height}; {name} takes sides of at least "
                f"{rule.min_px} pixels",
                "use a larger picture",
            )
        ratio = max(width, height) / min(width, height)
        if rule.max_ratio and ratio > rule.max_ratio and not rule.exact_size:
            self.source.error(
                at,
                f"`{image.path}` is {ratio:.2f} times as long as wide; {name} takes "
                f"{rule.max_ratio:g}",
                "crop it",
            )
