from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.errors import ConfigError, TrainingError
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.joint import JointExample, JointLoss, JointSettings, by_task, fit_joint
from agentq.training.settings import TrainingSettings
from agentq.types import Candidate

pytest.importorskip("agentq.features.pooling")

HEAD = HeadSettings(hidden=(16,))
QUICK = TrainingSettings(steps=30, learning_rate=1e-2, log_every=1, tracker="none", schedule="constant")


def load(folder: Path, lora: bool = True) -> Backbone:
    return load_backbone(
        BackboneConfig(name=str(folder), device="cpu", lora=LoraSettings(r=4) if lora else None)
    )


def page(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"page {number}"}]


def make_examples(backbone: Backbone, count: int = 24) -> list[JointExample]:
    """Buying is right on even pages, leaving on odd ones."""
    made: list[JointExample] = []
    for number in range(count):
        labels = (1.0, 0.0) if number % 2 == 0 else (0.0, 1.0)
        logged = number // 2 % 2
        made.append(
            JointExample(
                prompt=tuple(backbone.prompt_ids(page(number))),
                candidates=tuple(tuple(backbone.action_ids(a)) for a in ("buy", "leave")),
                logged=logged,
                returns=labels[logged],
                labels=labels,
                reward=labels[logged],
                terminated=number % 3 == 0,
                next_prompt=() if number % 3 == 0 else tuple(backbone.prompt_ids(page(number + 1))),
            )
        )
    return made


def test_heads_learn_from_proposals_and_the_critic_reads_them(tiny_model_folder: Path) -> None:
    backbone = load(tiny_model_folder)
    examples = [
        replace(e, proposals=((-0.5, 1.0), (-1.5, 1.0)) if e.labels[0] else ((-1.5, 1.0), (-0.5, 1.0)))
        for e in make_examples(backbone)
    ]
    objective = ObjectiveSettings(label_weight=1.0, rank_weight=1.0)
    config = QCriticConfig(proposal="likelihood")
    fit = fit_joint(backbone, examples, config, HEAD, objective, QUICK)
    assert fit.critic.heads.inputs == backbone.hidden_size + 2
    liked, unliked = (
        [Candidate(a, a, token_logprobs=(p,)) for a, p in zip(("buy", "leave"), odds, strict=True)]
        for odds in ((-1.5, -0.5), (-0.5, -1.5))
    )
    low, high = fit.critic.score([(page(2), liked), (page(2), unliked)])
    assert high[0] - high[1] > low[0] - low[1]
    with pytest.raises(TrainingError, match=r"widths \[\] for 2 candidates, expected 2 columns"):
        fit_joint(backbone, make_examples(backbone), config, HEAD, objective, QUICK)


def test_validation_holds_out_whole_tasks(tiny_model_folder: Path) -> None:
    backbone = load(tiny_model_folder)
    examples = [replace(e, task=f"task {i // 2}") for i, e in enumerate(make_examples(backbone))]
    fitting, held = by_task(examples, 0.4, seed=0)
    assert held
    assert not {e.task for e in fitting} & {e.task for e in held}
    assert len(fitting) + len(held) == len(examples)
    settings = replace(QUICK, evaluate_every=QUICK.steps // 2)
    fit = fit_joint(backbone, examples, None, HEAD, ObjectiveSettings(), settings, validation_share=0.4)
    alone = fit_joint(
        load(tiny_model_folder), fitting, None, HEAD, ObjectiveSettings(), settings, validation=held
    )
    assert fit.metrics == alone.metrics
    with pytest.raises(TrainingError, match="leaves a part empty"):
        by_task(examples, 1.0, seed=0)


@pytest.mark.parametrize("full", [False, True])
def test_learns_through_the_backbone_and_the_critic_scores_with_it(
    tiny_model_folder: Path, full: bool
) -> None:
    backbone = load(tiny_model_folder, lora=not full)
    before = {name: p.detach().clone() for name, p in backbone.model.named_parameters()}
    examples = make_examples(backbone)
    objective = ObjectiveSettings(label_weight=1.0, rank_weight=1.0)
    fit = fit_joint(
        backbone, examples, None, HEAD, objective, QUICK, JointSettings(full=full), validation=examples[:6]
    )
    losses = [record["loss"] for record in fit.training.history]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    moved = {n for n, p in backbone.model.named_parameters() if not torch.equal(p, before[n])}
    assert all(("lora_" in name) != full for name in moved)
    assert moved
    assert fit.metrics.keys() == {"explained_variance", "rank_correlation", "gap_closed"}
    candidates = [Candidate(text=a, action=a) for a in ("buy", "leave")]
    q = fit.critic.score([(page(2), candidates)])[0]
    module = JointLoss(backbone, HeadLoss(fit.critic.heads, objective), fit.critic.config, 0.1)
    with torch.no_grad():
        features = module.features([examples[2]])[0][0]
        expected = fit.critic.heads.q_values(features).amin(dim=0)
    np.testing.assert_allclose(q, expected.numpy(), atol=1e-5)
    assert fit.critic.config.training["objective"]["label_weight"] == 1.0


@pytest.mark.parametrize("name", ["td", "iql"])
def test_bootstrapped_objectives_run_on_current_features(tiny_model_folder: Path, name: Any) -> None:
    backbone = load(tiny_model_folder)
    fit = fit_joint(
        backbone, make_examples(backbone), None, HEAD, ObjectiveSettings(name=name), replace(QUICK, steps=3)
    )
    assert {"q_loss", "v_loss"} <= fit.training.history[-1].keys()
    assert fit.critic.heads.settings.state_heads == 2


@pytest.mark.parametrize("name", ["rover", "dqc"])
def test_objectives_over_several_steps_are_refused(tiny_model_folder: Path, name: Any) -> None:
    backbone = load(tiny_model_folder)
    with pytest.raises(ConfigError, match=f"objective '{name}' reads frozen features"):
        fit_joint(backbone, make_examples(backbone), None, HEAD, ObjectiveSettings(name=name), QUICK)


def test_state_features_do_not_depend_on_the_candidates(tiny_model_folder: Path) -> None:
    backbone = load(tiny_model_folder)
    objective = ObjectiveSettings(name="td")
    heads = QHeads(64, replace(HEAD, state_heads=2), 64)
    module = JointLoss(backbone, HeadLoss(heads, objective), QCriticConfig(layers=(1, 2)), 0.1)
    example = make_examples(backbone, 2)[1]
    both = module.features([example])[0]
    one = module.features([replace(example, candidates=example.candidates[:1])])[0]
    torch.testing.assert_close(both[1], one[1])
    torch.testing.assert_close(both[0][:1], one[0])
    ids = torch.tensor([example.prompt])
    with torch.no_grad():
        hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(both[1], torch.cat([hidden[1][0, -1], hidden[2][0, -1]]), atol=1e-5, rtol=1e-5)
    following = module.batch([example, replace(example, next_prompt=())]).next_states
    assert following is not None
    assert following[0].abs().sum() > 0
    assert not following.requires_grad
    assert (following[1] == 0).all()


def test_joint_run_resumes_without_storing_the_frozen_base(tiny_model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    settings = replace(QUICK, steps=6, checkpoint_every=2)

    def once() -> Any:
        backbone = load(tiny_model_folder)
        torch.manual_seed(0)
        for name, parameter in backbone.model.named_parameters():
            if "lora_A" in name:
                torch.nn.init.normal_(parameter, std=0.02)  # peft draws them from the global stream
        return fit_joint(backbone, make_examples(backbone), None, HEAD, None, settings, directory=tmp_path)

    whole = once()
    stored = load_file(tmp_path / "step_00000006" / "model.safetensors")
    assert not [name for name in stored if name.startswith("model.") and "lora_" not in name]
    (tmp_path / "step_00000006").rename(tmp_path / "gone")
    again = once()
    assert again.training.resumed_from == 4
    assert again.training.history == whole.training.history


def test_trained_adapter_is_saved_with_the_critic(tiny_model_folder: Path, tmp_path: Path) -> None:
    backbone = load(tiny_model_folder)
    fit = fit_joint(backbone, make_examples(backbone), None, HEAD, None, replace(QUICK, steps=3))
    folder = fit.critic.save_pretrained(tmp_path / "critic")
    again = QCritic.from_pretrained(folder, device="cpu")
    batch = [(page(1), [Candidate(text="buy", action="buy")])]
    np.testing.assert_array_equal(again.score(batch)[0], fit.critic.score(batch)[0])


def test_unusable_input_is_named(tiny_model_folder: Path) -> None:
    backbone = load(tiny_model_folder)
    good = make_examples(backbone, 2)
    with pytest.raises(TrainingError, match=r"example 1: .* logged 5"):
        fit_joint(backbone, [good[0], replace(good[1], logged=5)], None, HEAD)
    with pytest.raises(TrainingError, match="example 0: return nan"):
        fit_joint(backbone, [replace(good[0], returns=math.nan)], None, HEAD)
    with pytest.raises(TrainingError, match="0 of 0 examples"):
        fit_joint(backbone, [], None, HEAD)
    with pytest.raises(TrainingError, match="is frozen"):
        fit_joint(load(tiny_model_folder, lora=False), good, None, HEAD)
