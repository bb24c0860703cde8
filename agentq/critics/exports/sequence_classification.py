"""``*ForSequenceClassification``: heads are labels, for critics whose heads are linear."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentq.backbones.backbone import Backbone
from agentq.critics.exports.linear import fold_heads, linear_problems
from agentq.critics.q_head import QCritic
from agentq.critics.readouts import LabelReadout, Readout, Task
from agentq.scoring.support import decoder_of

HELP = "a *ForSequenceClassification checkpoint whose labels are the heads; linear heads only"
TASK: Task = "classify"
SERVE: tuple[str, ...] = ()  # arguments of vLLM besides the common ones


def problems(critic: QCritic) -> list[str]:
    """What keeps the heads out of such a checkpoint."""
    found = linear_problems(critic)
    if _classifier_class(critic.backbone) is None:
        found.append(
            f"transformers has no sequence classification for {type(critic.backbone.model.config).__name__} "
            "with one matrix on the last token"
        )
    return found


def write(critic: QCritic, model: Any, folder: Path, *, join_heads: bool) -> Readout:
    """Write the checkpoint of ``model``, whose adapters are merged, without a tokenizer."""
    heads = fold_heads(critic.heads, critic.config.proposal)
    if join_heads:
        heads = heads.mean()
    classifier = _classifier(critic.backbone, model, len(heads.offset))
    classifier.score.weight = nn.Parameter(heads.weight, requires_grad=False)
    classifier.save_pretrained(str(folder))
    return LabelReadout(heads.proposal_weight, heads.offset, critic.heads.settings.output)


def read(folder: Path, dtype: torch.dtype, rows: list[list[int]]) -> Tensor:
    """(n, K) labels of token sequences, by transformers from the written files."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in rows]).float()


def padding_id(backbone: Backbone) -> int:
    """A padding token that never ends a sequence: the last token that is no padding is what is read."""
    own = backbone.tokenizer.pad_token_id
    if own is not None and own != backbone.end_id:
        return int(own)
    return 0 if backbone.end_id != 0 else 1


def _classifier(backbone: Backbone, model: Any, labels: int) -> Any:
    config = copy.deepcopy(model.config)
    config.id2label = {index: f"q{index}" for index in range(labels)}
    config.label2id = {name: index for index, name in config.id2label.items()}
    config.problem_type = "regression"  # a server then applies no softmax or sigmoid by default
    config.pad_token_id = padding_id(backbone)
    config.architectures = None
    made: Any = _classifier_class(backbone)
    with torch.device("meta"):  # only the head is new
        classifier = made(config)
    setattr(classifier, classifier.base_model_prefix, decoder_of(model))
    classifier.config.dtype = next(model.parameters()).dtype
    return classifier


def _classifier_class(backbone: Backbone) -> Any:
    """The class of transformers, None where there is none that reads the last token by one matrix."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES

    config: Any = backbone.model.config
    if type(config) not in CLASSES:
        return None
    found: Any = CLASSES[type(config)]
    small = copy.deepcopy(config)
    with torch.device("meta"):
        made = found(small)
    score = getattr(made, "score", None)
    return found if isinstance(score, nn.Linear) and score.bias is None else None
