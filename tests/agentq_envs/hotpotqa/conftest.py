"""An encyclopedia of seven pages and questions on it."""

from __future__ import annotations

from typing import Any

import pytest

from agentq_data.hotpotqa.pages import WikiPage
from agentq_data.hotpotqa.questions import Question
from agentq_envs.hotpotqa.corpus import MemoryCorpus
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.loading import forget_tasks, load_tasks
from agentq_envs.hotpotqa.tasks import TaskSet

PAGES = (
    WikiPage(
        "Otto Ferry",
        "Otto Ferry is a film. It is old. It is long. It is dark. It is sad. It was made by Ida Bell.",
    ),
    WikiPage(
        "Ida Bell",
        "Ida Bell\nIda Bell is a director. She was born early. She likes tea. She likes rain.\n"
        "She likes rain more. She was born in Ash Hill. She died in Ash Hill.",
    ),
    WikiPage("Ash Hill", "Ash Hill is a town of 4,000 people."),
    WikiPage("Ferry", "Ferry may refer to: Otto Ferry, Ferry (boat)."),
    WikiPage("Ferry (boat)", "A ferry is a boat."),
    WikiPage("ASH hill", "This is another spelling."),
    WikiPage("Café Bell", "A place for coffee."),
)
QUESTIONS = (
    Question("1", "Where was the maker of the film Otto Ferry born?", "Ash Hill", "bridge", "hard",
             (("Otto Ferry", 5), ("Ida Bell", 5))),
    Question("2", "Is a ferry a boat?", "yes", "comparison", "easy", (("Ferry (boat)", 0), ("Absent", 0))),
    Question("3", "What is asked?", "nothing"),
)  # fmt: skip


@pytest.fixture
def tasks() -> TaskSet:
    return TaskSet(QUESTIONS, MemoryCorpus(PAGES))


@pytest.fixture
def env(tasks: TaskSet) -> HotPotQAEnv:
    made = HotPotQAEnv(tasks=tasks)
    made.reset(options={"task": tasks.ids[0]})
    return made


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The made world goes to a folder of this test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTQ_CACHE", str(tmp_path_factory.mktemp("cache")))
        forget_tasks()
        yield
        forget_tasks()


@pytest.fixture(scope="session")
def made_tasks(private_cache: None) -> TaskSet:
    """The made world of seed 0."""
    return load_tasks()
