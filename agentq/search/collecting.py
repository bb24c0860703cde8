"""Search many tasks and keep their trees: what is stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.records import TreeWriter, read_trees
from agentq.search.settings import SearchSettings
from agentq.search.tree import Tree
from agentq.search.worlds import World
from agentq.training.progress import bar


@dataclass(frozen=True, slots=True)
class SearchTask:
    """What to search: a task of the environment and a seed."""

    task: str
    seed: int = 0


def collect_trees(
    forest: Forest,
    make_world: Callable[[], World],
    tasks: Sequence[SearchTask],
    path: str | Path,
    settings: SearchSettings | None = None,
    *,
    title: str = "search",
    shown: bool = True,
) -> list[Tree]:
    """Search the tasks that the file does not hold yet, append each tree when it is done, return all in file order.

    One world is shared by all trees; a tree is searched from its task and seed alone, so stopping and going on
    changes no tree.
    """
    with TreeWriter(path) as writer:
        missing = [task for task in dict.fromkeys(tasks) if (task.task, task.seed) not in writer.tasks]
        world = make_world() if missing else None
        done, rewards = len(tasks) - len(missing), list[float]()
        with bar(title, len(tasks), done, shown) as show:
            searches = (TreeSearch(world, t.task, t.seed, settings) for t in missing if world is not None)
            for search in forest.run(searches):
                writer.write(search.tree)
                rewards.append(search.tree.best_reward())
                solved = sum(reward == 1 for reward in rewards)
                show(done + len(rewards), f"best reward {sum(rewards) / len(rewards):.3f}, {solved} solved")
    wanted = {(task.task, task.seed) for task in tasks}
    return [tree for tree in read_trees(path) if (tree.task, tree.seed) in wanted]
