"""Check that the models can do what the scenes ask. Each rule notes its faults where the value
is written.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from storyreel.catalog.load import Catalog, Model, parse_size
from storyreel.manifest import demands
from storyreel.manifest.draft import Draft
from storyreel.manifest.faults import Severity, listing
from storyreel.manifest.places import YamlPath
from storyreel.manifest.resolve import Resolver
from storyreel.manifest.storyboard import Scene, SceneImage

RATIO_TOLERANCE = 0.01


class Rules:
    """Checks all rules for all scenes of a resolver."""

    def __init__(
        self, resolver: Resolver, catalog: Catalog, today: date, fallback: YamlPath | None = None
    ) -> None:
        self.r = resolver
        self.source = resolver.source
        self.catalog = catalog
        self.today = today
        self.scenes = resolver.scenes
        # The fallback that is checked as its scene is: all faults are noted there.
        self._fallback = fallback

    def run(self) -> None:
        """Check every scene."""
        for draft in self.r.drafts.all:
            scene = self.scenes.get(draft.id)
            if scene is None or scene.index != draft.index:
                continue
            model = self.catalog.models.get(scene.model)
            self._takes(draft, scene)
            self._combined(draft, scene)
            if model is None:
                continue
            if scene.remix:
                self._prompt(draft, scene, model)
                self._remix(draft, model, scene)
                self._money(draft, scene, model)
            else:
                self._request(draft, scene, model)
                self._fallbacks(draft, scene)

    def _request(self, draft: Draft, scene: Scene, model: Model) -> None:
        """Check everything that the model is asked for."""
        self._prompt(draft, scene, model)
        self._sold(draft, scene, model)
        self._pictures(draft, scene, model)
        self._seams(draft, scene, model)
        self._video(draft, scene, model)
        self._demands(draft, scene, model)
        self._life(draft, scene, model)
        self._money(draft, scene, model)

    def _fallbacks(self, draft: Draft, scene: Scene) -> None:
        """Check each fallback as the scene itself, and note its faults where it is written."""
        path = draft.path("fallback")
        if scene.fallback and (remix := self._remix_of(scene)):
            self._error(
                path,
                f"scene `{remix}` is a remix of `{scene.id}`, and must know its model",
                f"delete `fallback`, or make `{remix}` another way",
            )
        written = self.r.drafts.value(draft, "fallback") or []
        if len(scene.fallback) < len(written) or self.r.drafts.is_broken(draft, "fallback"):
            return  # one of them has a fault of its own
        for i, way in enumerate(scene.ways[1:]):
            rules = Rules(self.r, self.catalog, self.today, fallback=(*path, i))
            if (way.model, way.mode) in [(w.model, w.mode) for w in scene.ways[: i + 1]]:
                rules._error(path, f"{way.model} {way.mode or ''} is tried before", "delete it")
            rules._request(draft, way, self.catalog.models[way.model])

    def _remix_of(self, scene: Scene) -> str | None:
        for other in self.scenes.values():
            if other.remix and other.remix.scene == scene.id:
                return other.id
        return None

    # ---- one rule a method

    def _prompt(self, draft: Draft, scene: Scene, model: Model) -> None:
        for name, text in (
            ("prompt", scene.prompt),
            ("fallback_prompt", scene.fallback_prompt or ""),
        ):
            if len(text) > model.prompt_max and not self.r.drafts.is_broken(draft, name):
                self._error(
                    ("scenes", draft.index, name),
                    f"the {name.replace('_', ' ')} has {len(text)} characters with style "
                    "and variables; "
                    f"{scene.model} takes {model.prompt_max}",
                    f"shorten it, or the style, by {len(text) - model.prompt_max} characters",
                )

    def _takes(self, draft: Draft, scene: Scene) -> None:
        if (
            scene.pick is not None
            and scene.pick > scene.takes
            and not self.r.drafts.is_broken(draft, "takes")
        ):
            self._error(
                draft.path("pick"),
                f"`pick: {scene.pick}` but there {'is' if scene.takes == 1 else 'are'} "
                f"only {scene.takes} "
                f"take{'s' * (scene.takes != 1)}",
                f"{'delete `pick`' if scene.takes == 1 else f'pick 1 to {scene.takes}'}, "
                f"or set `takes: {scene.pick}`",
            )

    def _combined(self, draft: Draft, scene: Scene) -> None:
        """Check fields that no model takes together."""
        if scene.video is None or scene.video.refer_type != "base":
            return
        for role in ("first_frame", "end_frame"):
            if getattr(scene, role) is not None:
                self._error(
                    draft.path(role),
                    f"a `base` video cannot be combined with `{role}`",
                    f"delete `{role}`, or use `refer_type: feature`",
                )

    def _sold(self, draft: Draft, scene: Scene, model: Model) -> None:
        """Check that the model sells this length, size and mode."""
        for name, value, sold in (
            ("seconds", scene.seconds, model.seconds),
            ("size", scene.size, model.sizes),
            ("mode", scene.mode, model.modes),
        ):
            if value is None or value in sold or self.r.drafts.is_broken(draft, name):
                continue
            at, where = self._asked(draft, name)
            if not sold:
                self._error(at, f"{scene.model} has no `{name}`", f"delete `{name}`")
                continue
            unit = " seconds" if name == "seconds" else ""
            self._error(
                at,
                f"{scene.model} does not sell {name} {value}",
                f"use {listing(sold)}{unit}{where}",
            )

    def _asked(self, draft: Draft, name: str) -> tuple[YamlPath, str]:
        """Return (place, hint) of a value. An inherited one is shown at the scene's own model,
        if it has one.
        """
        if name in draft.own or "model" not in draft.own:
            return draft.path(name), ""
        return ("scenes", draft.index, "model"), f": add `{name}:` to scene `{draft.id}`"

    def _pictures(self, draft: Draft, scene: Scene, model: Model) -> None:
        first, end = scene.first_frame, scene.end_frame
        if first and not model.first_frame.allowed:
            self._error(
                self._frame_place(draft, "first_frame"),
                f"{scene.model} takes no first frame",
                self._instead("first_frame"),
            )
        if end and not model.end_frame.allowed:
            self._error(
                draft.path("end_frame"),
                f"{scene.model} takes no end frame",
                self._instead("end_frame"),
            )
        elif (
            end
            and not first
            and model.end_frame.needs_first
            and not self.r.drafts.is_broken(draft, "first_frame")
        ):
            if self.r.drafts.value(draft, "first_frame") is None:
                self._error(
                    draft.path("end_frame"),
                    "an end frame without a first frame",
                    "add `first_frame:` to the scene",
                )
        elif end and model.end_frame.honoured_in and scene.mode not in model.end_frame.honoured_in:
            modes = listing(model.end_frame.honoured_in)
            self._error(
                draft.path("end_frame"),
                f"{scene.model} in mode {scene.mode} accepts an end frame but is known to "
                "ignore it",
                f"use mode {modes}",
                Severity.WARNING,
            )
        if scene.references:
            self._references(draft, scene, model)
        if (
            not first
            and not scene.references
            and not scene.video
            and not self.r.drafts.is_broken(draft, "first_frame")
        ):
            self._text_only(draft, scene, model)

    def _demands(self, draft: Draft, scene: Scene, model: Model) -> None:
        for one in demands.unmet(scene, model):
            if not self.r.drafts.is_broken(draft, one.field):
                path = (*self._frame_place(draft, one.field), *one.place)
                self._error(path, one.message, one.fix, key=one.field == "extras")

    def _frame_place(self, draft: Draft, role: str) -> YamlPath:
        """Return the place of a frame; a frame from `chain: true` is at the scene itself."""
        return (
            draft.path(role)
            if self.r.drafts.value(draft, role) is not None
            else ("scenes", draft.index)
        )

    def _instead(self, role: str) -> str:
        fits = [
            n for n, m in self.catalog.models.items() if getattr(m, role).allowed and not m.life
        ]
        return f"delete it, or use {listing(fits)}" if fits else "delete it"

    def _references(self, draft: Draft, scene: Scene, model: Model) -> None:
        path = draft.path("reference_images")
        if model.reference_images is None:
            fits = [n for n, m in self.catalog.models.items() if m.reference_images]
            fix = f"delete them, or use {listing(fits)}" if fits else "delete them"
            self._error(path, f"{scene.model} takes no reference images", fix)
            return
        count = len(scene.images)
        if count > model.reference_images.max:
            frames = count - len(scene.references)
            extra = f" ({frames} of them first or end frame)" if frames else ""
            self._error(
                path,
                f"{count} pictures{extra}; {scene.model} takes {model.reference_images.max}",
                f"leave out {count - model.reference_images.max}",
            )

    def _text_only(self, draft: Draft, scene: Scene, model: Model) -> None:
        wanted = self.r.drafts.value(draft, "first_frame") is not None
        if wanted or not self.r.drafts.all:
            return  # a first frame is given and has a fault of its own
        rule = model.text_to_video
        place: YamlPath = draft.path("model") if "model" in draft.own else ("scenes", draft.index)
        if not rule.allowed:
            self._error(
                place,
                f"{scene.model} makes video from a picture only, and scene `{draft.id}` "
                "has no first frame",
                "add `first_frame:`, or use a model that works from text",
            )
        elif rule.beyond:
            title = self.catalog.sources[rule.source].title
            self._error(
                place,
                f"{scene.model} from text alone goes beyond the API's own page ({title} allows it)",
                "add `first_frame:` to be sure",
                Severity.WARNING,
            )

    def _seams(self, draft: Draft, scene: Scene, model: Model) -> None:
        """Check that a picture from another clip has this scene's shape if the model requires
        the exact size.
        """
        if not model.image.exact_size or scene.fit != "refuse":
            return
        want = _ratio(parse_size(scene.size))
        for role, image in scene.images:
            if not isinstance(image, SceneImage) or image.scene not in self.scenes:
                continue
            for above in self.scenes[image.scene].ways:
                above_model = self.catalog.models.get(above.model)
                if (
                    above_model is None
                    or above.size not in above_model.sizes
                    or scene.size not in model.sizes
                ):
                    continue
                width, height = above_model.output_size(above.size, above.mode)
                if abs(_ratio((width, height)) / want - 1) > RATIO_TOLERANCE:
                    place = (
                        self._frame_place(draft, role)
                        if "." not in role
                        else draft.path("reference_images")
                    )
                    self._error(
                        place,
                        f"the {image.label} is {width}x{height}, another shape than this "
                        f"scene's {scene.size}",
                        "give both scenes one shape, or add `fit: crop` or `fit: pad` to "
                        f"scene `{draft.id}`",
                    )
                    break

    def _video(self, draft: Draft, scene: Scene, model: Model) -> None:
        video = scene.video
        if video is None:
            return
        path = draft.path("reference_video")
        rule = model.reference_video
        if rule is None or not rule.allowed:
            fits = [n for n, m in self.catalog.models.items() if m.reference_video]
            self._error(
                path,
                f"{scene.model} takes no reference video",
                f"use {listing(fits)}" if fits else "delete it",
            )
            return
        above = self.scenes.get(video.scene or "")
        above_model = self.catalog.models.get(above.model) if above else None
        if above and above_model and above.seconds in above_model.seconds:
            if not rule.min_s <= above.seconds <= rule.max_s:
                self._error(
                    (*path, "scene"),
                    f"the clip of `{above.id}` lasts {above.seconds} s; {scene.model} "
                    f"takes {rule.min_s:g} to {rule.max_s:g} s",
                    f"make `{above.id}` {rule.min_s:g} to {rule.max_s:g} s long",
                )
            sides = above_model.output_size(above.size, above.mode)
            if min(sides) < rule.min_px or max(sides) > rule.max_px:
                self._error(
                    (*path, "scene"),
                    f"the clip of `{above.id}` is {sides[0]}x{sides[1]}; {scene.model} "
                    "takes sides of "
                    f"{rule.min_px} to {rule.max_px} pixels",
                    f"make `{above.id}` in another size",
                )

    def _remix(self, draft: Draft, model: Model, scene: Scene) -> None:
        if not model.remix.documented and scene.remix and scene.remix.scene:
            self._error(
                ("scenes", draft.index, "remix_of"),
                f"remix is documented for sora-2 only, not for {scene.model}; the API may "
                "refuse it",
                "try it on one scene first",
                Severity.WARNING,
            )

    def _life(self, draft: Draft, scene: Scene, model: Model) -> None:
        if model.beyond:
            title = self.catalog.sources[model.beyond].title
            self._error(
                draft.path("model"),
                f"{scene.model} is not on the API's own page ({title})",
                "try it on one scene first",
                Severity.WARNING,
            )
        if model.life is None:
            return
        verb = "was announced to end" if model.life.ends <= self.today else "is announced to end"
        fix = (
            f"move to {model.life.successor}" if model.life.successor else "plan for another model"
        )
        self._error(
            draft.path("model"),
            f"{scene.model} {verb} on {model.life.ends.isoformat()}",
            fix,
            Severity.WARNING,
        )

    def _money(self, draft: Draft, scene: Scene, model: Model) -> None:
        budget = self.r.document.budget
        if (
            budget is None
            or scene.seconds not in model.seconds
            or (scene.mode and scene.mode not in model.modes)
        ):
            return
        price = model.price(scene.seconds, scene.mode, with_video=scene.video is not None)
        if price is None:
            self._error(
                draft.path("model"),
                f"no price is known for {scene.model}, so the budget cannot be kept",
                "add a price in a catalogue of your own, or delete `budget`",
            )
        elif price.currency != budget.currency:
            self._error(
                draft.path("model"),
                f"{scene.model} is priced in {price.currency}; the budget is in {budget.currency}",
                f"set the budget in {price.currency}, or give the model a "
                f"{budget.currency} price in your catalogue",
            )
        elif budget.limit < price.high and budget.limit > Decimal(0):
            self._error(
                ("budget", "limit"),
                f"the budget of {budget.limit} {budget.currency} does not cover one clip "
                f"of scene `{draft.id}` ({price.high})",
                "raise `limit`",
                Severity.WARNING,
            )

    def _error(
        self,
        path: YamlPath,
        message: str,
        fix: str,
        severity: Severity = Severity.ERROR,
        *,
        key: bool = False,
    ) -> None:
        if self._fallback:
            path, key, message = self._fallback, False, f"as a fallback: {message}"
        self.source.error(self.source.at(path, key=key), message, fix, severity)


def _ratio(size: tuple[int, int]) -> float:
    return size[0] / size[1]
