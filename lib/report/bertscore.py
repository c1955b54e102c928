"""BERTScore: how alike two texts are to a language model that the user names."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib.report.language import ReportError

if TYPE_CHECKING:
    import torch

_MOST_TOKENS = 512


class BertScore:
    """F1 of BERTScore (Zhang 2020, ICLR), without idf and rescaling.

    Args:
        folder: a model as transformers saves it, with safetensors; no code of it is run, nothing downloaded.
        layer: whose output is compared, 1 the first; the last if not given. Scores of different models or
            layers are not comparable.

    Raises:
        ReportError: it cannot be loaded, or has no such layer.
    """

    def __init__(self, folder: Path, layer: int | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "config.json").is_file():
            raise ReportError(f"There is no model in {folder}: name a folder with config.json in it.")
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            self._model = AutoModel.from_pretrained(folder, use_safetensors=True, **options).eval()
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ReportError(f"The model in {folder} cannot be loaded: {said}") from error
        layers = self._model.config.num_hidden_layers
        if layer is not None and not 1 <= layer <= layers:
            raise ReportError(f"The model has the layers 1 to {layers}, not {layer}.")
        self.layer = layer or layers
        self._most = min(self._tokenizer.model_max_length, _MOST_TOKENS)

    def f1(self, hypothesis: str, reference: str) -> float:
        """Return the F1 of two texts; 0 where one is blank. Only the first 512 tokens count."""
        if not (hypothesis.strip() and reference.strip()):
            return 0.0
        (said, said_counts), (wanted, wanted_counts) = map(self._embedded, (hypothesis, reference))
        likeness = said @ wanted.T
        precision = float(likeness.amax(dim=1)[said_counts].mean())
        recall = float(likeness.amax(dim=0)[wanted_counts].mean())
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def is_cut(self, texts: Sequence[str]) -> bool:
        """Whether any of these texts has more tokens than the model reads."""
        return any(len(self._tokenizer(text, truncation=False)["input_ids"]) > self._most for text in texts)

    def _embedded(self, text: str) -> "tuple[torch.Tensor, torch.Tensor]":
        """Return a unit vector for each token, and which tokens count: those that stand for text.

        The tokens that begin and end a text may be what another token is most like.
        """
        import torch

        tokens = self._tokenizer(
            text, return_tensors="pt", truncation=True, max_length=self._most, return_special_tokens_mask=True
        )
        counts = tokens.pop("special_tokens_mask")[0] == 0
        with torch.inference_mode():
            hidden = self._model(**tokens, output_hidden_states=True).hidden_states[self.layer][0]
        return torch.nn.functional.normalize(hidden, dim=-1), counts
