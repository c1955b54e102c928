"""Which final labels are sent to the archive, and in what order."""

from types import SimpleNamespace

from apps.segpet.archive.outgoing import Outgoing
from lib.export.documents import ExportError


def test_a_label_that_never_gets_there_holds_up_no_other(tmp_path, monkeypatch):
    sent = []

    def store(outgoing, study, saved):
        if study == "2.25.1":
            raise ExportError("The PET images cannot be referred to.")
        sent.append(study)
        (tmp_path / f"{study}.json").write_text('{"version": 1}')

    monkeypatch.setattr(Outgoing, "_store", store)
    final = SimpleNamespace(status="final", number=1)
    workspace = SimpleNamespace(
        versions=SimpleNamespace(counting=lambda study: final),
        accepted=SimpleNamespace(newest=lambda study: None),
        state=SimpleNamespace(folder=lambda name: tmp_path),
    )
    labelled = ["2.25.1", "2.25.2", "2.25.3"]
    studies = SimpleNamespace(folder=tmp_path, get_labeled_images=lambda: labelled)
    outgoing = Outgoing(None, studies, workspace)
    outgoing.send_all()
    assert sent == []  # where the archive is down, nobody waits for it once a label
    outgoing.send_all()
    assert sent == ["2.25.2", "2.25.3"]
