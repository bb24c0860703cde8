"""``agentq tree FILE``: look at search trees."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "look at search trees: a listing, one tree as text, or a page with pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="trees as JSON lines, as a search writes them"
    )
    parser.add_argument(
        "--task", help="only the trees of this task; without --output the tree is printed as text"
    )
    parser.add_argument(
        "--output", type=Path, metavar="PAGE", help="write a page (.html), or one tree's picture (.svg)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print or write. Raises ``LogError`` for a file without trees, ``ConfigError`` for an output of another kind."""
    from agentq.errors import ConfigError, LogError
    from agentq.search.drawing import summary_line, tree_page, tree_svg, tree_text
    from agentq.search.records import read_trees

    trees = [tree for tree in read_trees(arguments.file) if arguments.task in (None, tree.task)]
    if not trees:
        wanted = "" if arguments.task is None else f" of task {arguments.task!r}"
        raise LogError(
            f"{arguments.file} has no tree{wanted}. `agentq tree {arguments.file}` lists what it has."
        )
    if arguments.output is None:
        for tree in trees:
            print(summary_line(tree))
            if arguments.task is not None:
                print("visits  value  reward  action\n" + tree_text(tree))
        return 0
    output: Path = arguments.output
    if output.suffix == ".svg":
        if len(trees) != 1:
            raise ConfigError(
                f"--output {output} is one picture, but there are {len(trees)} trees. Name one with --task."
            )
        output.write_text(str(tree_svg(trees[0])), encoding="utf-8")
    elif output.suffix == ".html":
        output.write_text(tree_page(trees, arguments.file.name), encoding="utf-8")
    else:
        raise ConfigError(f"--output {output}: expected a name that ends in .html or .svg.")
    print(f"{len(trees)} trees: {output}")
    return 0
