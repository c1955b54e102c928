"""SegAnyPET behind the viewers' two click tools."""

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from infer_tasks.click_task import ClickTask
from infer_tasks.network_engine import NetworkEngine
from infer_tasks.workspace import Workspace
from lib.interaction import Engine


class SegPETTask(ClickTask):
    """`segpet`: clicks of several labels at once, negative clicks as those of `background`."""

    def __init__(self, workspace: Workspace, network: NetworkEngine) -> None:
        super().__init__(
            workspace,
            "segpet",
            InferType.DEEPEDIT,
            "SegAnyPET: click on lesions and organs of any label; click on background to take away",
        )
        self._network = network

    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return the network's engine; waits until the weights are loaded."""
        return self._network.get()


class SegPETClickTask(ClickTask):
    """`segpet_click`: foreground and background clicks of one label."""

    def __init__(self, workspace: Workspace, network: NetworkEngine) -> None:
        super().__init__(
            workspace,
            "segpet_click",
            InferType.DEEPGROW,
            "SegAnyPET: foreground and background clicks of the chosen label",
        )
        self._network = network

    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return the network's engine; waits until the weights are loaded."""
        return self._network.get()

    def classes(self, label: str) -> tuple[str, ...]:
        """Return background and the label alone: of a DeepGrow result, Slicer takes the 1 for the label."""
        return (self.workspace.labels[0], label) if label else self.workspace.labels
