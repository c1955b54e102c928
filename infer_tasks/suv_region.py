"""Region growing behind the viewers' click tool: works without weights."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, cast

from cachetools import LRUCache
from monailabel.interfaces.tasks.infer_v2 import InferType

from infer_tasks.click_task import ClickTask
from infer_tasks.requests import RequestError
from infer_tasks.workspace import Workspace
from lib.interaction import Engine, RegionGrower

_CACHE_BYTES = 64 << 20


class SUVRegionTask(ClickTask):
    """`suv_region`: grows regions from clicks, by a share of the local maximum, a fixed value, or the edge.

    Its type is DeepEdit, for which both viewers send the clicks of all labels, `background` among them: in
    Slicer and in OHIF alike, a negative click is one in the segment of that name. DeepGrow's tools would show
    one label at a time.
    """

    def __init__(self, workspace: Workspace) -> None:
        # An empty value is the method's own: one number cannot be both a percentage and an SUV.
        super().__init__(
            workspace,
            "suv_region",
            InferType.DEEPEDIT,
            "Region growing: percent of the local maximum (41), fixed value (4) or gradient; no weights",
            config={"method": ["percent", "fixed", "gradient"], "value": ""},
        )
        self._engines: LRUCache[tuple[str, float | None], Engine] = LRUCache(8)
        self._lock = Lock()

    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return the engine of the requested method and value.

        Raises:
            RequestError: a value that is no number.
            PromptError: an unknown method, or a value out of range.
        """
        method = request.get("method") or "percent"
        method = method[0] if isinstance(method, list) else method  # a viewer's options as they were offered
        value = _number(request.get("value"))
        with self._lock:
            if (engine := self._engines.get((str(method), value))) is None:
                engine = Engine(RegionGrower(cast(Any, method), value), cache_bytes=_CACHE_BYTES)
                self._engines[(str(method), value)] = engine
        return engine


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError("The value of suv_region must be a number, or empty.") from error
