from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agentq import BackboneConfig, load_backbone
from agentq.backbones import LoraSettings
from agentq.backbones.loading import resolve_name
from agentq.backbones.weight_files import files_digest, weight_files
from agentq.critics.checkpoint import with_adapter


@pytest.fixture(params=["4bit", "8bit"])
def quantized(request: pytest.FixtureRequest) -> dict[str, str]:
    pytest.importorskip("bitsandbytes")
    return {"quantization": request.param, "dtype": "bfloat16", "device": "cpu"}


def test_rounded_weights_are_known_by_their_files(quantized: dict[str, str], tmp_path: Path) -> None:
    base = load_backbone(BackboneConfig(**quantized))  # type: ignore[arg-type]
    adapted = load_backbone(BackboneConfig(lora=LoraSettings(), **quantized))  # type: ignore[arg-type]
    other = load_backbone(BackboneConfig("embedded-critic", **quantized))  # type: ignore[arg-type]
    whole = load_backbone(BackboneConfig(dtype="bfloat16", device="cpu"))
    copied = shutil.copytree(resolve_name("embedded"), tmp_path / "copy")
    assert load_backbone(BackboneConfig(str(copied), **quantized)).fingerprint == base.fingerprint  # type: ignore[arg-type]
    assert adapted.hash_weights() == adapted.fingerprint == base.fingerprint
    assert len({base.fingerprint, other.fingerprint, whole.fingerprint}) == 3


@pytest.mark.parametrize("copied", [False, True])
def test_an_adapter_leaves_rounded_weights_what_they_are(
    quantized: dict[str, str], tmp_path: Path, copied: bool
) -> None:
    """Else a critic on a base in 4 bits could not be loaded again."""
    made: Any = load_backbone(BackboneConfig(lora=LoraSettings(), **quantized)).model  # type: ignore[arg-type]
    made.save_pretrained(tmp_path)
    base = load_backbone(BackboneConfig(**quantized))  # type: ignore[arg-type]
    expected = base.fingerprint
    assert with_adapter(base, tmp_path, copied).fingerprint == expected


def test_files_of_a_folder(tmp_path: Path) -> None:
    for name, content in (("b.safetensors", b"2"), ("a.safetensors", b"1"), ("old.bin", b"3")):
        (tmp_path / name).write_bytes(content)
    found = weight_files(str(tmp_path))
    assert [path.name for path in found] == ["a.safetensors", "b.safetensors"]
    before = files_digest(found)
    (tmp_path / "b.safetensors").write_bytes(b"4")
    assert files_digest(found) != before
    assert weight_files(str(tmp_path / "..")) == []
