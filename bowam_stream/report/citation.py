"""How to cite: read from CITATION.cff at the top of the project, which the package carries along."""

from pathlib import Path

import msgspec

FILE = Path(__file__).parent / "CITATION.cff"  # a link in a checkout, a file in an installed package


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be named."""

    name: str


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What else to cite."""

    title: str
    authors: tuple[Author, ...]
    journal: str
    year: int
    doi: str


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """What CITATION.cff says."""

    title: str
    message: str
    authors: tuple[Author, ...]
    version: str
    license: str
    references: tuple[Reference, ...]


def read_citation() -> Citation:
    """The citation of this program, and of what it implements."""
    return msgspec.yaml.decode(FILE.read_bytes(), type=Citation)


def bibtex(citation: Citation) -> str:
    """The program, then each reference, as BibTeX."""
    entries = [
        _entry(
            "software",
            "bowam-stream",
            title=citation.title,
            author=_names(citation.authors),
            version=citation.version,
            license=citation.license,
        )
    ]
    entries += [
        _entry(
            "article",
            f"bowam-{reference.year}",
            title=reference.title,
            author=_names(reference.authors),
            journal=reference.journal,
            year=str(reference.year),
            doi=reference.doi,
        )
        for reference in citation.references
    ]
    return "\n\n".join(entries)


def _names(authors: tuple[Author, ...]) -> str:
    """In braces of their own: a group's name is not to be split into first and last."""
    return " and ".join(f"{{{author.name}}}" for author in authors)


def _entry(kind: str, key: str, **fields: str) -> str:
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}\n}}"
