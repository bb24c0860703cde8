"""Readers of the official WebShop files: products, attributes, human instructions.

Products may be a JSON list (``.json``) or one object a line (``.jsonl``), each optionally gzipped
(``.gz``). Both are streamed: a ``.jsonl`` file never holds more than one raw product in memory, a
``.json`` list never more than one product and a read-ahead block.

File formats: princeton-nlp/WebShop ("WebShop: Towards Scalable Real-World Web Interaction with Grounded
Language Agents").
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from agentq.errors import DataError

RawProduct: TypeAlias = dict[str, Any]

#: Fields that the loader reads from every product; ``pricing`` and ``images`` may be absent.
REQUIRED_FIELDS = (
    "asin",
    "name",
    "full_description",
    "small_description",
    "customization_options",
    "category",
    "query",
    "product_category",
)
#: Fields of which the loader needs the text, not only the presence.
TEXT_FIELDS = ("asin", "name", "category", "query", "product_category")

_BLOCK = 1 << 20  # characters read at a time
_LARGEST_PRODUCT = 1 << 26  # characters; beyond this an undecodable product counts as broken
_WHITESPACE = " \t\n\r"


def read_products(path: str | Path) -> Iterator[RawProduct]:
    """Stream the products of an official product file, in file order.

    Yields the raw JSON objects, each checked to carry ``REQUIRED_FIELDS``. Raises DataError for a missing
    or empty file, broken JSON (with its position), and products that lack a field.
    """
    path = Path(path)
    with _opened(path) as stream:
        name = path.name.removesuffix(".gz")
        products = _json_lines(stream, path) if name.endswith(".jsonl") else _json_list(stream, path)
        for position, product in enumerate(products):
            yield checked_product(product, position, str(path))


def read_attributes(path: str | Path) -> dict[str, dict[str, Any]]:
    """The attribute file: ASIN -> ``{"attributes": [...], "instruction": ..., ...}``.

    Raises DataError when the file is missing, empty, broken, or no JSON object.
    """
    return _json_object(Path(path), "an object that maps every ASIN to its attributes")


def read_human_instructions(path: str | Path) -> dict[str, list[dict[str, Any]]]:
    """The human instruction file: ASIN -> list of instruction records.

    Raises DataError when the file is missing, empty, broken, or no JSON object.
    """
    return _json_object(Path(path), "an object that maps ASINs to lists of instructions")


def checked_product(product: Any, position: int, source: str) -> RawProduct:
    """The product itself, or a DataError that names it, the missing or wrong field, and its position."""
    if not isinstance(product, dict):
        raise DataError(
            f"{source}: product {position} is a {type(product).__name__}, expected a JSON object. "
            "Check that the file is an official WebShop product file."
        )
    for field in REQUIRED_FIELDS:
        if field not in product:
            raise DataError(
                f"{source}: product {position} (asin {product.get('asin')!r}) lacks the field {field!r}. "
                "Add it, or remove the product."
            ) from KeyError(field)
    for field in TEXT_FIELDS:
        if not isinstance(product[field], str):
            raise DataError(
                f"{source}: product {position} (asin {product['asin']!r}) has {product[field]!r} as "
                f"{field!r}, expected text. Correct it, or remove the product from the file."
            )
    return product


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The file as text; every reading error becomes a DataError."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. Give the path of an official WebShop file (.json, .jsonl, .gz)."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty. Download or generate it again.")
    try:
        with (gzip.open if path.name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as stream:
            yield stream  # type: ignore[misc]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}). Convert the file to UTF-8.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken gzip data ({error}). Download the file again.") from error


def _json_object(path: Path, expected: str) -> dict[str, Any]:
    with _opened(path) as stream:
        text = stream.read()
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(path, error.msg, error.pos, f"line {error.lineno}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: the file holds a {type(content).__name__}, expected {expected}.")
    return content


def _json_lines(stream: IO[str], path: Path) -> Iterator[Any]:
    found = False
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        found = True
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise _broken(path, error.msg, error.pos, f"line {number}") from error
    if not found:
        raise DataError(f"{path}: the file holds no product. Download or generate it again.")


def _json_list(stream: IO[str], path: Path) -> Iterator[Any]:
    """Decode a JSON list one element at a time."""
    window = _Window(stream, path)
    if window.next_character() != "[":
        raise DataError(
            f"{path}: expected a JSON list of products, the file starts otherwise. Is it the right file?"
        )
    window.skip()
    if window.next_character() == "]":
        window.finish()
        return
    index = 0
    while True:
        yield window.decode(index)
        index += 1
        character = window.next_character()
        window.skip()
        if character == "]":
            window.finish()
            return
        if character != ",":
            raise _broken(
                path, "expected ',' or ']'", window.offset + window.start - 1, f"after product {index - 1}"
            )
        window.next_character()


class _Window:
    """The part of the text that is in memory: ``text[start:]`` is not consumed yet."""

    def __init__(self, stream: IO[str], path: Path) -> None:
        self.stream = stream
        self.path = path
        self.text = ""
        self.start = 0
        self.offset = 0  # characters of the file before ``text``
        self._decoder = json.JSONDecoder()

    def read_more(self, size: int = _BLOCK) -> bool:
        block = self.stream.read(size)
        if not block:
            return False
        self.offset += self.start
        self.text = self.text[self.start :] + block
        self.start = 0
        return True

    def next_character(self) -> str:
        """The next character that is no whitespace, not consumed; "" at the end of the file."""
        while True:
            while self.start < len(self.text):
                if self.text[self.start] not in _WHITESPACE:
                    return self.text[self.start]
                self.start += 1
            if not self.read_more():
                return ""

    def skip(self) -> None:
        """Consume the character that ``next_character`` returned."""
        self.start += 1

    def finish(self) -> None:
        """Check that nothing but whitespace follows the closing bracket."""
        if self.text[self.start : self.start + 1] == "]":
            self.start += 1
        if self.next_character():
            raise _broken(self.path, "extra data", self.offset + self.start, "after the list")

    def decode(self, index: int) -> Any:
        """Decode and consume one value, reading on in doubling steps while it is incomplete."""
        size = _BLOCK
        while True:
            try:
                value, end = self._decoder.raw_decode(self.text, self.start)
            except json.JSONDecodeError as error:
                too_long = len(self.text) - self.start > _LARGEST_PRODUCT
                if too_long or not self.read_more(size):
                    raise _broken(
                        self.path, error.msg, self.offset + error.pos, f"product {index}"
                    ) from error
                size *= 2
                continue
            # A number at the end of the window may go on in the next block; objects cannot.
            if end == len(self.text) and not isinstance(value, dict) and self.read_more(size):
                continue
            self.start = end
            return value


def _broken(path: Path, message: str, position: int, place: str) -> DataError:
    return DataError(
        f"{path}: broken JSON at character {position} ({place}): {message}. "
        "The file may be cut off; download or generate it again."
    )
