import pytest

from infer_tasks.requests import RequestError
from infer_tasks.suv_region import SUVRegionTask
from infer_tasks.workspace import Workspace
from lib.interaction import PromptError
from lib.store import StateFolder


@pytest.fixture
def task(tmp_path) -> SUVRegionTask:
    return SUVRegionTask(Workspace(StateFolder(tmp_path / "state"), ("background", "lesion")))


@pytest.mark.parametrize(
    ("request_", "method", "value"),
    [
        ({}, "percent", 41),
        ({"method": []}, "percent", 41),
        ({"method": "percent", "value": ""}, "percent", 41),
        ({"method": ["percent", "fixed", "gradient"], "value": None}, "percent", 41),
        ({"method": "percent", "value": "50"}, "percent", 50),
        ({"method": "fixed"}, "fixed", None),
        ({"method": "fixed", "value": 2.5}, "fixed", 2.5),
        ({"method": "gradient"}, "gradient", None),
    ],
)
def test_options_are_read_as_viewers_send_them(task, request_, method, value):
    grower = task.engine(request_).segmenter
    assert (grower.method, grower.value) == (method, value)


def test_what_the_task_offers_first_is_its_default(task):
    offered = {key: value[0] if isinstance(value, list) else value for key, value in task.config().items()}
    assert task.engine(offered) is task.engine({})


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "magic"},
        {"method": {"a": 1}},
        {"value": "much"},
        {"value": {}},
        {"value": 101},
        {"value": "nan"},
        {"value": 10**400},
        {"method": "fixed", "value": 0},
        {"method": "gradient", "value": 3},
    ],
)
def test_options_that_cannot_be_used_are_refused(task, request_):
    with pytest.raises((RequestError, PromptError)):
        task.engine(request_)
