"""Detection of personal data in a sampled column: e-mail addresses, phone numbers, names.

Few false alarms matter more than finding everything: warnings that are usually wrong are ignored.
"""

import re
from collections.abc import Iterable
from itertools import islice

_MOST_VALUES = 1_000
_NEARLY_ALL = 0.8
_EMAIL = re.compile(r"[^@\s,;:/]+@[^@\s,;:/]+\.[A-Za-z]{2,}")
_EMAIL_NAME = re.compile(r"(?:^|_)e?_?mail(?:_address)?_?$")
_PHONE = re.compile(r"(?=(?:\D*\d){7,15}\D*$)\+?[\d ()./-]+")
_PHONE_NAME = re.compile(r"(?:^|_)(?:(?:tele)?phone|telefon|tel|mobile|cell|handy|fax)(?:_?(?:number|no|nr))?_?$")
_WORD = r"[^\W\d_]+(?:['\u2019.-][^\W\d_]*)*"
_NAME = re.compile(rf"{_WORD}(?: {_WORD}){{0,4}}")
# Names of columns that only persons have.
_NAME_NAME = re.compile(
    r"(?:^|_)(?:(?:first|last|middle|given|family|full|maiden)_?name|forename|surname|vorname|nachname)_?$"
)
# Names of columns of persons or companies; only the values decide.
_WHO_NAME = re.compile(
    r"(?:^|_)(?:customer|client|contact|person|employee|patient|passenger|guest|driver|recipient|applicant|student|"
    r"card_?holder)_(?:full_?)?name_?$"
)
_PERSON = re.compile(rf"{_WORD}(?: {_WORD}){{1,3}}")
# Of anything, unless many values have a title, or the first letter of a second name.
_ANY_NAME = re.compile(r"(?:^|_)(?:full_?)?name_?$")
_PERSON_OR_LAST_FIRST = re.compile(rf"{_WORD}(?:,? {_WORD}){{1,5}}(?: \(.+\))?")
_TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Master|Dr|Prof|Herr|Frau|Mme)\b|[^\W\d_]+ [A-Z]\. [^\W\d_]+")
_MANY = 0.3
_COMPANY = re.compile(
    r"(?i)\b(?:gmbh|ag|kg|ohg|ug|se|inc|ltd|llc|llp|plc|corp|co|sa|sas|sarl|srl|spa|bv|nv|oy|ab|as)\b\.?$"
)


def personal_data(name: str, values: Iterable[str]) -> str | None:
    """Return the kind of personal data in a column of texts, such as `e-mail addresses`, or None.

    `name` is the field's, and `values` are the distinct values of the sample. An address with an @ is recognised in any
    column. Numbers and names are recognised by the column's name and its values together, and in a column without
    values by its name.
    """
    texts = list(islice((value.strip() for value in values), _MOST_VALUES))

    def nearly_all(pattern: "re.Pattern[str]", but: "re.Pattern[str] | None" = None) -> bool:
        fit = sum(bool(pattern.fullmatch(value)) and not (but and but.search(value)) for value in texts)
        return fit >= len(texts) * _NEARLY_ALL

    if (texts or _EMAIL_NAME.search(name)) and nearly_all(_EMAIL):
        return "e-mail addresses"
    if _PHONE_NAME.search(name) and nearly_all(_PHONE):
        return "phone numbers"
    if _NAME_NAME.search(name) and nearly_all(_NAME):
        return "names of persons"
    if _WHO_NAME.search(name) and texts and nearly_all(_PERSON, but=_COMPANY):
        return "names of persons"
    titled = sum(bool(_TITLED.search(value)) for value in texts)
    least = _MANY if nearly_all(_PERSON_OR_LAST_FIRST) else _NEARLY_ALL
    if _ANY_NAME.search(name) and titled and titled >= len(texts) * least:
        return "names of persons"
    return None
