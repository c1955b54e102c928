"""SegAnyPET behind the viewers' two click tools."""

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from infer_tasks.click_task import ClickTask
from infer_tasks.network_engine import NetworkEngine
from infer_tasks.sessions import BATCH
from infer_tasks.workspace import Workspace
from lib.interaction import Engine


class NetworkTask(ClickTask):
    """Answers with the network, for one kind of a viewer's tools.

    Args:
        workspace: what the tasks share.
        network: loads the weights.
        name, type, description: as `ClickTask`; without weights the description begins so.
    """

    without_weights = "No weights: refuses clicks until the server is started with --model. "

    def __init__(
        self, workspace: Workspace, network: NetworkEngine, name: str, type: InferType, description: str
    ) -> None:
        said = description if network.has_weights else self.without_weights + description
        super().__init__(workspace, name, type, said)
        self._network = network

    def engine(self, request: Mapping[str, Any]) -> Engine:
        """Return the network's engine, one for a client's whole session; waits until weights are loaded."""
        study, client = str(request.get("study") or ""), str(request.get("client_id") or "")
        return self._network.get((study, client) if study and client != BATCH else None)


class SegPETTask(NetworkTask):
    """`segpet`: clicks of several labels at once, negative clicks as those of `background`."""

    def __init__(self, workspace: Workspace, network: NetworkEngine) -> None:
        super().__init__(
            workspace,
            network,
            "segpet",
            InferType.DEEPEDIT,
            "SegAnyPET: click on lesions and organs of any label; click on background to take away",
        )


class SegPETClickTask(NetworkTask):
    """`segpet_click`: foreground and background clicks of one label."""

    def __init__(self, workspace: Workspace, network: NetworkEngine) -> None:
        super().__init__(
            workspace,
            network,
            "segpet_click",
            InferType.DEEPGROW,
            "SegAnyPET: foreground and background clicks of the chosen label",
        )

    def classes(self, label: str) -> tuple[str, ...]:
        """Return background and the label alone: of a DeepGrow result, Slicer takes the 1 for the label."""
        return (self.workspace.labels[0], label) if label else self.workspace.labels
