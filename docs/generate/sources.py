"""Fields of a class as its source has them: name, type, default and the comment beside it."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from docs.generate.interface import annotation


class Field(NamedTuple):
    """One field."""

    name: str
    type: str
    default: str | None  # as it is written; None: it must be given
    meaning: str  # the comments before and beside it


def fields_of(kind: type) -> Iterator[Field]:
    """The fields that the class itself declares, in its order."""
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: (token.string.lstrip("# "), token.line.strip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (parsed,) = ast.parse(source).body
    assert isinstance(parsed, ast.ClassDef)
    for node in parsed.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert node.end_lineno is not None
            beside = [comments[line][0] for line in range(node.lineno, node.end_lineno + 1) if line in comments]
            above: list[str] = []
            line = node.lineno - 1
            while line in comments and comments[line][1]:
                above.insert(0, comments[line][0])
                line -= 1
            default = None if node.value is None else ast.unparse(node.value)
            meaning = " ".join([*([f"*{' '.join(above)}*"] if above else []), *beside])
            yield Field(node.target.id, annotation(kind.__annotations__[node.target.id]), default, meaning)


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Words and what they mean, in Markdown: unlike a table it can be read on a telephone."""
    return "\n".join(f"{word}\n: {meaning}\n" for word, meaning in rows)


def code(text: str) -> str:
    """As code, also where it holds backticks; nothing stays nothing."""
    return f"`{text}`" if text else ""


def inline(text: str) -> str:
    """Running text of ours, in which <angle brackets> are meant as they stand."""
    return re.sub(r"<(?=\w)", r"\\<", text)
