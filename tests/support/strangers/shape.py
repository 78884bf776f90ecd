"""A file as its owner has it, and how plain Python reads it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A file, and what becomes of it.

    `bad` are the rows that belong into quarantine, `refused` is the sentence that refuses the file. `source` and
    `licence` are those of an excerpt of real data. The rest gives the plain reader what a person sees at once: the
    encoding, the separator, the decimal sign, the texts that mean no value, the member that holds the rows, the lines
    above the header, and the signs around and within numbers. What `is_table` has rows that a person could read.
    """

    name: str
    file: str
    data: bytes
    bad: tuple[int, ...] = ()
    refused: str = ""
    source: str = ""
    licence: str = ""
    encoding: str = "utf-8-sig"
    separator: str = ","
    decimal: str = "."
    missing: tuple[str, ...] = ("",)
    within: str = ""
    labels: bool = False
    above: int = 0
    signs: str = ""
    is_table: bool = True
