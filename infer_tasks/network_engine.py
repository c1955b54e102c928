"""The network's engine: loaded when first needed, and changed for the champion's while the server runs."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

import torch

from lib.interaction import Engine, NetworkSegmenter
from lib.network import CheckpointError, PromptableNetwork, load_network
from lib.store import Models, StoreError, Version

logger = logging.getLogger("segpet")

_MISSING = (
    "This server has no weights of SegAnyPET: get a checkpoint (YichiZhang98/SegAnyPET on the "
    "Hugging Face hub; mind its licence) and start the server with `segpet serve --model PATH` "
    "(plain MONAI Label: `--conf model PATH`), or use suv_region."
)
#: A session that asked for nothing for so long has ended.
IDLE_SECONDS = 1800.0
_MOST_SESSIONS = 512
#: Networks in memory at most, the present one among them; sessions on older ones go on with the present one.
_MOST_NETWORKS = 3
#: Of each: embeddings of regions, and objects as they were after each step.
_EMBEDDING_BYTES, _STATE_BYTES = 192 << 20, 96 << 20

#: Whose clicks in which study: (study, client).
Session = tuple[str, str]

#: Of weights: the registry's number and digest, and which file is there: inode and time of its last change.
_Mark = tuple[int, str, tuple[int, int] | None]


class WeightsMissingError(ValueError):
    """There are no weights; the message says how to get them."""


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An engine, and which version's weights it has: 0 for those that the server was started with."""

    engine: Engine
    version: int


class NetworkEngine:
    """Keeps the engine of the weights that answer: the registry's champion, else those of the start.

    A new champion is loaded beside the present one. Whoever has clicked in a study goes on with the weights
    that answered the first click, until the session is released or idle for long.

    Args:
        weights: file of weights, or None.
        device: where the network runs.
        cache: folder for the weights in the form that loads fast.
        models: the registry; None: there is none.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        weights: Path | None,
        device: torch.device,
        cache: Path,
        models: Models | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._weights, self._device, self._cache, self._models = weights, device, cache, models
        self._clock = clock
        self._now: _Loaded | None = None
        self._fault = ""
        self._refused: _Mark | None = None
        """A champion that could not be loaded: it is not tried at every click, until it is another one."""
        self._loading, self._keeping = Lock(), Lock()
        self._follower: Thread | None = None
        self._sessions: OrderedDict[Session, tuple[_Loaded, float]] = OrderedDict()
        self._last_asked = clock()

    def get(self, session: Session | None = None) -> Engine:
        """Return the engine; waits until the first weights are loaded.

        Args:
            session: whose clicks it is to answer; None: nobody's who goes on later.

        Raises:
            WeightsMissingError: the server was started without weights.
            CheckpointError: the file cannot be used; known from the first attempt on.
        """
        if self._weights is None:
            raise WeightsMissingError(_MISSING)
        if session:
            self._last_asked = self._clock()
            if kept := self._kept(session):
                return kept.engine
        self.follow(wait=session is not None)  # a session keeps what it begins with
        with self._loading:
            now = self._first() if self._now is None else self._now
        if session:
            self._keep(session, now)
        return now.engine

    def follow(self, wait: bool = False) -> None:
        """Begin to load the champion where another one answers.

        Args:
            wait: until it answers, or was found not to be usable.
        """
        if wait and self.state == "loading":
            with suppress(CheckpointError):  # which every request for a mask tells
                self.get()
        if self._now is None:
            return  # whoever needs it first loads the right one
        if wait:
            with self._keeping:  # until then it may not have been started
                former = self._follower
            if former:
                former.join()  # it may load one that is not the champion any more
        with self._keeping:
            try:
                version = self._champion()
            except StoreError as fault:
                logger.error("%s The weights that answered go on.", fault)
                return
            if self._refused and self._mark(version) != self._refused:
                self._refused = None
            if self._follower is None and not self._refused and _number(version) != self._now.version:
                self._follower = Thread(target=self._change, args=(version,), name="champion", daemon=True)
                self._follower.start()
            follower = self._follower
        if wait and follower:
            follower.join()

    def release(self, session: Session) -> None:
        """Say that a session has ended: the next one of the same client begins with the champion."""
        with self._keeping:
            self._sessions.pop(session, None)

    def forget(self) -> None:
        """Let go of what the engines have computed, with the present weights and those of sessions."""
        with self._keeping:
            kept = {one for one, _ in self._sessions.values()} | ({self._now} if self._now else set())
            fresh = {one: _Loaded(_engine_of(one.engine.segmenter.network), one.version) for one in kept}
            self._now = fresh[self._now] if self._now else None
            for session, (one, last) in self._sessions.items():
                self._sessions[session] = (fresh[one], last)

    @property
    def has_weights(self) -> bool:
        """Whether the server was started with weights."""
        return self._weights is not None

    @property
    def state(self) -> str:
        """`missing`, `loading` (or not yet asked for), `broken` or `ready`; does not wait."""
        if self._weights is None:
            return "missing"
        return "broken" if self._fault else "ready" if self._now else "loading"

    @property
    def why(self) -> str:
        """Why the weights cannot be used; "" where they can, or may be."""
        return _MISSING if self._weights is None else self._fault

    @property
    def version(self) -> int:
        """The registry's number of the weights that answer; 0 for those of the start, or none yet."""
        return self._now.version if self._now else 0

    @property
    def quiet_seconds(self) -> float:
        """For how long no session has asked for anything."""
        return self._clock() - self._last_asked

    def load_in_background(self) -> None:
        """Begin to load the weights, where there are some; a request meanwhile waits for them."""
        if self._weights is not None:
            Thread(target=self._load_quietly, name="weights", daemon=True).start()

    def _load_quietly(self) -> None:
        try:
            self.get()
        except CheckpointError as fault:
            logger.error("%s", fault)  # and told to whoever asks for a mask

    def _first(self) -> _Loaded:
        if self._fault:
            raise CheckpointError(self._fault)
        try:
            if version := self._champion():
                self._change(version)
        except StoreError as fault:
            logger.error("%s The weights that the server was started with answer.", fault)
        if self._now is None:
            try:
                loaded = self._load(None)
            except CheckpointError as fault:
                self._fault = str(fault)  # not itself: it holds on to what its frames hold
                raise
            with self._keeping:
                self._now = loaded
        return self._now

    def _champion(self) -> Version | None:
        return self._models.champion() if self._models else None

    def _change(self, version: Version | None) -> None:
        mark = self._mark(version)
        try:
            loaded = self._load(version)
            with self._keeping:  # else `forget` would put the former engine back
                self._now, self._refused = loaded, None
        except CheckpointError as fault:
            self._refused = mark
            logger.error("The champion cannot be used, other weights answer: %s", fault)
        finally:
            self._follower = None

    def _mark(self, version: Version | None) -> _Mark:
        path = version.path if version else self._weights
        try:
            info = path.stat() if path else None
        except OSError:
            info = None
        # Not the time of its content, which a backup puts back.
        file = (info.st_ino, info.st_ctime_ns) if info else None
        return _number(version), version.digest if version else "", file

    def _load(self, version: Version | None) -> _Loaded:
        if version and self._models and (fault := self._models.fault(version.number)):
            raise CheckpointError(fault)
        path = version.path if version else self._weights
        assert path is not None, "only a server with weights loads some"
        logger.info("Loading the weights %s; a checkpoint is converted once.", path.name)
        network = load_network(path, self._device, cache=self._cache)
        logger.info("The weights %s are ready on %s.", path.name, self._device)
        return _Loaded(_engine_of(network), _number(version))

    def _kept(self, session: Session) -> _Loaded | None:
        with self._keeping:
            loaded, last = self._sessions.get(session, (None, 0.0))
            if loaded is None or self._clock() - last > IDLE_SECONDS:
                return None
            self._note(session, loaded)
            return loaded

    def _keep(self, session: Session, loaded: _Loaded) -> None:
        with self._keeping:
            self._note(session, loaded)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
            now = self._clock()
            # Else a network would stay in memory for sessions that nobody comes back to.
            for key in [key for key, (_, last) in self._sessions.items() if now - last > IDLE_SECONDS]:
                del self._sessions[key]
            newest = list(dict.fromkeys([loaded, *(one for one, _ in reversed(self._sessions.values()))]))
            for key in [key for key, (one, _) in self._sessions.items() if one in newest[_MOST_NETWORKS:]]:
                del self._sessions[key]

    def _note(self, session: Session, loaded: _Loaded) -> None:
        self._sessions[session] = (loaded, self._clock())
        self._sessions.move_to_end(session)


def _engine_of(network: PromptableNetwork) -> Engine:
    return Engine(NetworkSegmenter(network, _EMBEDDING_BYTES), _STATE_BYTES)


def _number(version: Version | None) -> int:
    return version.number if version else 0
