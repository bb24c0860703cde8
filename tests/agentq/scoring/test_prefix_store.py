from __future__ import annotations

import torch

from agentq.scoring.key_values import PromptKeyValues
from agentq.scoring.prefix_store import PrefixStore


def _content(length: int) -> PromptKeyValues:
    keys = torch.arange(length, dtype=torch.float32)[None, :, None].repeat(1, 1, 2)  # (H=1, T, D=2)
    return PromptKeyValues((keys,), (keys + 0.5,))


def _length(found: PromptKeyValues | None) -> int:
    return 0 if found is None else found.keys[0].shape[1]


def test_the_longest_known_start_is_found() -> None:
    store = PrefixStore(1 << 20)
    prompt = list(range(100, 150))
    store.put(prompt[:20], _content(20))
    store.put(prompt[:37], _content(37))
    assert _length(store.find(prompt)) == 37  # whole entries at any length
    assert _length(store.find(prompt[:20])) == 20
    assert _length(store.find([*prompt[:35], 1, 2])) == 32  # shared starts at multiples of 16
    assert _length(store.find([0, *prompt])) == 0
    found = store.find([*prompt[:35], 1, 2])
    assert found is not None
    assert torch.equal(found.values[0][0, :, 0], torch.arange(32) + 0.5)


def test_the_least_recently_used_prompt_makes_room() -> None:
    store = PrefixStore(3 * _content(10).nbytes)
    prompts = [[k] * 10 for k in range(4)]
    for prompt in prompts[:3]:
        store.put(prompt, _content(10))
    assert _length(store.find(prompts[0])) == 10  # used: prompt 1 is now the oldest
    store.put(prompts[3], _content(10))
    assert [_length(store.find(p)) for p in prompts] == [10, 0, 10, 10]
    assert store.nbytes <= store.budget
    store.put([9] * 50, _content(50))  # larger than the budget
    assert _length(store.find([9] * 50)) == 0
    store.clear()
    assert (len(store), store.nbytes, store.find(prompts[0])) == (0, 0, None)
