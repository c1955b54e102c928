"""A network as a segmenter: which looks at an object count at a step, and the mask that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lib.interaction import regions
from lib.interaction.certainty import expected_dice
from lib.interaction.growth import grown_regions
from lib.interaction.lattice import Lattice
from lib.interaction.looks import Around, mask_of
from lib.interaction.prompts import Click, Index, Step
from lib.interaction.region_decoder import RegionDecoder, clicks_of, points_of
from lib.interaction.segmenter import State, Stopwatch
from lib.interaction.suv_region import hardly_any_uptake
from lib.interaction.told import as_meant, as_told
from lib.network import PromptableNetwork
from lib.pet import Crop, Volume

#: A first answer of which the network expects less Dice than this is compared with a look from afar, which
#: takes its place where the network expects so much more of it.
SURE, SURER = 0.8, 0.1
#: From this step on a look from afar hands over to the nearer ones: its voxels are too coarse to correct it.
NEARER_FROM = 3
#: What looks longer than this from afar is the body, not a lesion, mm.
LONGEST_MM = 240.0


@dataclass(frozen=True, eq=False)
class NetworkState(State):
    """An object after some steps, with the logits (1, 1, L, L, L) of the regions that were clicked in.

    Args:
        logits: of the regions at the network's spacing, by the region's first lattice voxel.
        wide: the same of the one region at the wide spacing.
        far: the same of the one region at the far spacing, while that alone is the answer.
        close: the same of the one region at the fine spacing, while the object is small enough for it.
        cold: warnings that clicks are where there is hardly any uptake.
    """

    logits: tuple[tuple[Index, torch.Tensor], ...] = ()
    wide: tuple[Index, torch.Tensor] | None = None
    far: tuple[Index, torch.Tensor] | None = None
    close: tuple[Index, torch.Tensor] | None = None
    cold: tuple[str, ...] = ()
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        kept = (*self.logits, *filter(None, (self.wide, self.far, self.close)))
        held = self.mask.array.nbytes + sum(logits.nbytes for _, logits in kept)
        object.__setattr__(self, "bytes", held)


class NetworkSegmenter:
    """Segments one object from clicks with a promptable network.

    Every positive click lies in the inner part of a region: the anchor's, one that is open already, or one
    that it opens. A region that got a click is decoded anew with all clicks in it and its logits of the step
    before. An object that reaches a region's face grows through it into overlapping neighbours; these are
    derived anew at each step.

    A network that has learnt a finer spacing looks at a small object a second time, in a region of that
    spacing about its first click, and keeps to it until the object or a click leaves that region.

    With a wider spacing it looks around for any other object at its first click, and again while it is longer
    than half a region. Where that shows one so long, this one wide region about the anchor counts in the mean
    of logits like the others, and alone where they do not reach.

    Where the network has a still wider, far spacing and is not sure of all that after the first click, one
    such region is the answer alone if it is surer of that, until it is surer of the others: large faint
    objects look like small ones from near. After some corrections it hands its logits over to the nearer
    regions, which go on from them.

    A voxel that was clicked is as the click says, and no step turns a mask against its clicks
    (`lib.interaction.told`).

    Args:
        network: the network, in eval mode.
        cache_bytes: bound of the embeddings kept; the least recently used go first.
    """

    def __init__(self, network: PromptableNetwork, cache_bytes: int = 1 << 30) -> None:
        self.network = network
        self.name, self.digest = network.name, network.digest
        self._size = network.config.image_size
        self._fine_spacing = network.config.fine_spacing
        self._wide_spacing = network.config.wide_spacing
        self._far_spacing = network.config.far_spacing
        self._decoder = RegionDecoder(network, cache_bytes)

    def anchor(self, volume: Volume, click: Index, taken: Sequence[Index]) -> Index:
        """Return the first taken voxel whose region has a click in its inner part, else the click."""
        lattice = self._decoder.lattice(volume)
        point = lattice.from_source(click)
        shared = (
            voxel for voxel in taken if regions.in_inner_part(point, lattice.cube_at(voxel), self._size)
        )
        return next(shared, click)

    @torch.inference_mode()
    def advance(
        self,
        volume: Volume,
        anchor: Index | None,
        before: NetworkState | None,
        steps: Sequence[Step],
        watch: Stopwatch,
    ) -> NetworkState:
        """Return the state after the last step (see `Segmenter.advance`)."""
        state = self._advanced(volume, anchor, before, steps, watch)
        meant = as_meant(state.mask, before.mask, steps[-1]) if before else state.mask
        if meant is not state.mask:
            state = replace(state, mask=as_told(meant, clicks_of(steps)).tight())
        # A network finds something anywhere, in air too.
        cold = before.cold if before else ()
        for click in steps[-1]:
            cold += hardly_any_uptake(volume, click.index) if click.positive else ()
        warnings = tuple(dict.fromkeys((*state.warnings, *cold)))
        return replace(state, warnings=warnings, cold=cold) if cold else state

    def _advanced(
        self,
        volume: Volume,
        anchor: Index | None,
        before: NetworkState | None,
        steps: Sequence[Step],
        watch: Stopwatch,
    ) -> NetworkState:
        if before and before.close and (kept := self._kept_close(volume, before, steps, watch)):
            return kept
        if before and before.far and len(steps) >= NEARER_FROM:
            before = self._nearer(volume, before)
        lattice = self._decoder.lattice(volume)
        points = points_of(lattice, steps)
        new = points[len(points) - len(steps[-1]) :]
        logits = dict(before.logits) if before else {}

        if (
            before
            and not before.close
            and not any(click.positive or self._is_seen(volume, click, before) for click, _ in new)
        ):
            return before

        candidates = list(logits) + ([lattice.cube_at(anchor)] if anchor else [])
        clicked = set(logits)
        for click, point in new:
            if click.positive:
                home = (start for start in candidates if regions.in_inner_part(point, start, self._size))
                start = next(home, None) or lattice.cube_at(click.index)
                candidates.append(start)
                clicked.add(start)
        was_close = before is not None and before.close is not None
        for start in sorted(clicked):
            # To the regions, every click since the close look began is new.
            if was_close or any(regions.in_cube(point, start, self._size) for _, point in new):
                prompts = self._decoder.prompts(points, start)
                logits[start] = self._decoder.decode(lattice, start, prompts, logits.get(start), watch)

        grown, warnings = grown_regions(self._decoder, lattice, logits, points, watch)
        looks = [(lattice, start, low) for start, low in (logits | grown).items()]
        clicks = clicks_of(steps)
        with watch.stage("mask"):
            mask = mask_of(looks, clicks)
        # Without a region there is no positive click yet, as in an object that was painted only.
        small = bool(logits and self._fine_spacing) and not was_close and self._is_small(volume, mask)
        long_mm = self._size * lattice.spacing / 2
        may_be_long = (
            before is None
            or not before.logits
            or was_close
            or max(_extent_mm(volume, mask) + _extent_mm(volume, before.mask)) > long_mm
        )
        known = before.wide if before else None
        if logits and self._wide_spacing and not small and may_be_long:
            around = self._decoder.lattice(volume, self._wide_spacing)
            if wide := self._look_around(around, anchor, known, steps, watch):
                known = wide.start, wide.logits
                if wide.length_mm > long_mm:
                    looks.append(wide.look)
                    with watch.stage("mask"):
                        mask = mask_of(looks, clicks)
        state = NetworkState(
            mask=mask,
            regions=tuple(
                self._describe(of, start, of is lattice and start in grown) for of, start, _ in looks
            ),
            warnings=warnings,
            logits=tuple(logits.items()),
            wide=known,
        )
        state = (small and self._seen_close(volume, state, steps, watch)) or state
        return self._seen_from_afar(volume, anchor, before, state, steps, watch)

    def _is_seen(self, volume: Volume, click: Click, state: NetworkState) -> bool:
        """Whether a click lies in a region that was looked at."""
        for region in state.regions:
            lattice = self._decoder.lattice(volume, region["edge_mm"] / self._size)
            if regions.in_cube(lattice.from_source(click.index), region["lattice_start"], self._size):
                return True
        return False

    def _look_around(
        self,
        lattice: Lattice,
        anchor: Index | None,
        before: tuple[Index, torch.Tensor] | None,
        steps: Sequence[Step],
        watch: Stopwatch,
    ) -> Around | None:
        """Look at an object in one region about its anchor; None where no positive click lies in that."""
        points = points_of(lattice, steps)
        first = next(click.index for click, _ in points if click.positive)
        start, logits = before or (lattice.cube_at(anchor or first), None)
        prompts = self._decoder.prompts(points, start)
        if not any(label for _, label in prompts):
            return None
        low = self._decoder.decode(lattice, start, prompts, logits, watch)
        return Around(lattice, start, low, self._decoder.component(prompts, low))

    def _seen_from_afar(
        self,
        volume: Volume,
        anchor: Index | None,
        before: NetworkState | None,
        state: NetworkState,
        steps: Sequence[Step],
        watch: Stopwatch,
    ) -> NetworkState:
        """Return the state with a look at the far spacing in place of one that the network doubts more."""
        known = before.far if before else None
        begins = before is None or not before.logits
        if not (state.logits and self._far_spacing and (known or begins)):
            return state
        lattice = self._decoder.lattice(volume, self._fine_spacing if state.close else None)
        start, low = state.close or state.logits[0]
        prompts = self._decoder.prompts(points_of(lattice, steps), start)
        certainty = expected_dice(low, self._decoder.component(prompts, low))
        if certainty >= SURE and not known:
            return state
        lattice = self._decoder.lattice(volume, self._far_spacing)
        far = self._look_around(lattice, anchor, known, steps, watch)
        if far is None or far.length_mm > LONGEST_MM:
            return state
        if expected_dice(far.logits, far.component) <= certainty + (0 if known else SURER):
            return state
        with watch.stage("mask"):
            mask = mask_of([far.look], clicks_of(steps))
        return replace(
            state,
            mask=mask,
            regions=(self._describe(lattice, far.start, grown=False),),
            warnings=(),
            close=None,
            far=(far.start, far.logits),
        )

    def _nearer(self, volume: Volume, state: NetworkState) -> NetworkState:
        """Return the state with the logits of its look from afar in its nearer regions."""
        assert state.far
        far, (start, low) = self._decoder.lattice(volume, self._far_spacing), state.far

        def handed(spacing: float | None, at: Index) -> tuple[Index, torch.Tensor]:
            return at, far.handed(low[0, 0], start, self._decoder.lattice(volume, spacing), at)[None, None]

        return replace(
            state,
            logits=tuple(handed(None, at) for at, _ in state.logits),
            wide=state.wide and handed(self._wide_spacing, state.wide[0]),
            far=None,
        )

    def _is_small(self, volume: Volume, mask: Crop) -> bool:
        """Whether an object about a voxel of it lies within a region of the fine spacing for certain."""
        return max(_extent_mm(volume, mask)) <= self._size * self._fine_spacing / 2

    def _seen_close(
        self, volume: Volume, state: NetworkState, steps: Sequence[Step], watch: Stopwatch
    ) -> NetworkState | None:
        """Return the state with a look at the fine spacing; None where the object turns out to be larger."""
        lattice = self._decoder.lattice(volume, self._fine_spacing)
        points = points_of(lattice, steps)
        first = next(click.index for click, _ in points if click.positive)
        start, before = state.close or (lattice.cube_at(first), None)
        if not all(regions.in_cube(point, start, self._size) for click, point in points if click.positive):
            return None
        prompts = self._decoder.prompts(points, start)
        low = self._decoder.decode(lattice, start, prompts, before, watch)
        if regions.faces_reached(self._decoder.component(prompts, low)):
            return None
        with watch.stage("mask"):
            mask = mask_of([(lattice, start, low)], clicks_of(steps))
        return replace(
            state,
            mask=mask,
            regions=(self._describe(lattice, start, grown=False),),
            warnings=(),
            close=(start, low),
        )

    def _kept_close(
        self, volume: Volume, before: NetworkState, steps: Sequence[Step], watch: Stopwatch
    ) -> NetworkState | None:
        """Return the state after a step of an object that is looked at closely; None where it left that."""
        assert before.close
        new = points_of(self._decoder.lattice(volume, self._fine_spacing), steps[-1:])
        inside = [regions.in_cube(point, before.close[0], self._size) for _, point in new]
        if not any(inside) and not any(click.positive for click, _ in new):
            return before
        return self._seen_close(volume, before, steps, watch)

    def _describe(self, lattice: Lattice, start: Index, grown: bool) -> dict[str, Any]:
        return {"lattice_start": list(start), "edge_mm": self._size * lattice.spacing, "grown": grown}


def _extent_mm(volume: Volume, mask: Crop) -> list[float]:
    """Return how long a mask is along each of the volume's axes."""
    return [count * step for count, step in zip(mask.array.shape, volume.spacing, strict=True)]
