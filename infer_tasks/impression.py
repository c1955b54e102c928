"""`impression`: findings in, or those of the study's saved label, an impression and its check out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from infer_tasks.impressions import Impressions, language_asked, options_asked
from infer_tasks.requests import RequestError
from lib.interaction.segmenter import Stopwatch


class ImpressionTask(InferTask):
    """Writes the impression of a study.

    A request has `image` and `study` as the other tasks have them, and may have `findings` (else those of the
    saved label), `language` ("en", "zh"), and the options of `lib.report.backends.Options`; `cancelled`, a
    function, says whether to stop.

    Args:
        impressions: what writes and checks them.
    """

    name = "impression"

    def __init__(self, impressions: Impressions) -> None:
        super().__init__(
            InferType.OTHERS.value,
            {},
            dimension=3,
            description="The impression of a report from its findings, checked against the measured lesions",
            config={"language": ["en", "zh"], "temperature": 0.0, "max_tokens": 512},
        )
        self._impressions = impressions

    def is_valid(self) -> bool:
        """Show the task to viewers, also without a language model: its answer says how to get one."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[None, dict[str, Any]]:
        """Return no file, and `findings`, `text`, `check`, `model` and `latencies`.

        Raises:
            RequestError: findings that are no text, an unknown language, no saved label.
            ReportError: findings or options that cannot be used.
            BackendError: the model failed, or there is none.
            Cancelled: somebody ended it.
        """
        watch = Stopwatch()
        cancelled = request.get("cancelled")
        asked = request.get("language")
        language = language_asked(asked[0] if isinstance(asked, list) and asked else asked)
        study, image = str(request["study"]), Path(request["image"])
        findings = request.get("findings")
        if findings is not None and not isinstance(findings, str):
            raise RequestError("findings must be a text.")
        with watch.stage("total"):
            with watch.stage("findings"):
                findings = findings or self._impressions.findings(study, image, language)
            with watch.stage("write"):
                pieces = self._impressions.write(
                    findings,
                    language,
                    options_asked(dict(request)),
                    cancelled if callable(cancelled) else lambda: False,
                    lambda _: None,
                )
                text = "".join(pieces)
            with watch.stage("check"):
                checked = self._impressions.check(study, image, text, findings, language)
        backend = self._impressions.backend
        return None, {
            "findings": findings,
            "text": text,
            "check": checked,
            "model": backend.name if backend else "",
            "latencies": {stage: round(spent, 4) for stage, spent in watch.seconds.items()},
        }
