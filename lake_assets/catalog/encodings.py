"""The encoding of text that is not UTF-8.

Most encodings of one byte a letter read any bytes, so that only the letters show which is right. Each language here has
its letters beyond ASCII, the most frequent first, and the encodings that it is written in. The likeliest of all wins.
Those of several bytes a letter are left to `charset-normalizer`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import inf, log

_WESTERN = ("windows-1252", "cp850", "mac_roman")
_CENTRAL = ("windows-1250", "iso-8859-2", "cp852")
_ICELANDIC = "íáöðþéóúýæ"
# Of languages that cannot be distinguished, the first is taken: those of more files come first.
_LANGUAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("üäöß", _WESTERN),
    ("éèàçêôâûîùëïœ", _WESTERN),
    ("óíáéñúü", _WESTERN),
    ("ãçáéíóêõâúàô", _WESTERN),
    ("èàòùéì", _WESTERN),
    ("äöåé", _WESTERN),
    ("åøæéö", _WESTERN),
    ("éàäáèüöíçóñëãêøåôúæïâîûùòìõßœ", _WESTERN),
    ("ıüşçğöİâ", ("windows-1254",)),
    ("łąęóżśćńź", _CENTRAL),
    ("íáéýěšžřčůúťďňó", _CENTRAL),
    ("áíýžúčšéťôľňďäóĺŕ", _CENTRAL),
    ("áéöóőíüúű", _CENTRAL),
    ("čšžćđ", _CENTRAL),
    ("ăîâşţ", _CENTRAL),
    ("ėšųžįčūąę", ("windows-1257",)),
    ("āīēšņūļģžčķ", ("windows-1257",)),
    ("ėšāīųžēįčūąęņļģķ", ("windows-1257",)),
    (_ICELANDIC, _WESTERN),
    ("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", ("windows-1251", "koi8-r", "cp866", "iso-8859-5")),
    ("оанитерсвклумпдябзьіїгйчжхюшцєщфґ", ("windows-1251", "koi8-u")),
    ("αοιετσνηυρπκμλςωάόίέγδήχθύβφώξζψϊ", ("windows-1253",)),
    ("יוהלאתמרבשנםדקעכפחטגצסזןךףץ", ("windows-1255",)),
    ("المنيوترةبدعسفحكهجقشصأطخضزإغذثءىئظؤآ", ("windows-1256", "iso-8859-6")),
    ("านรอกเงมยลวดทสตะปบคหแจพชขใไโผซณศถธภัิ่้์ีุ็ู๊๋ึื", ("cp874",)),
)  # fmt: skip
_SIGNS = "€£§°©®™«»„“”\u2018\u2019\u2013—…•·¿¡ºª²³½\u00a0\u00b4"
_SEVERAL_BYTES = ("big5", "big5hkscs", "gb18030", "cp949", "shift_jis", "cp932", "euc_jp")
_ASIAN = re.compile("[\u3001-\u303f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]")
_WORD = re.compile(rb"[\w\x80-\xff]+")
_BESIDE_LATIN = re.compile(r"[A-Za-z](?![ -~])\w|(?![ -~])\w[A-Za-z]")
# Korean is written in syllables. Pairs of Hebrew letters would be rare Chinese ones of the same encoding.
_HANGUL = re.compile("[\uac00-\ud7a3]")
# Of DOS and the old Macintosh: hardly met any more, and they have letters where others have quotes and dashes.
_OLD = frozenset({"cp850", "cp852", "mac_roman"})
_RARE, _SIGN, _CAPITAL, _PAIR, _OLD_CHANCE = 1e-6, 2e-3, 0.12, 0.05, 5e-3
# Few words of Western text may as well be of a language of few files.
_WESTERN_FIRST = log(10_000)
_FEWEST_LETTERS = 3
_MOST_BYTES = 20_000
_TOLERATED = 0.1


def guess_encoding(lines: Sequence[bytes]) -> str | None:
    """Return the encoding of lines, none of which is UTF-8; None when no encoding explains them, as with damaged
    text."""
    sample = b"\n".join(_first(lines))
    if sample.isascii():
        return None
    return _of_several_bytes(sample) or _of_one_byte(sample)


def _of_several_bytes(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(_SEVERAL_BYTES)).best()
    if best is None or best.encoding not in _SEVERAL_BYTES:
        return None
    text = sample.decode(best.encoding, "replace")
    beyond = [letter for letter in text if not letter.isascii()]
    usual = _HANGUL if best.encoding == "cp949" else _ASIAN
    odd = sum(not usual.match(letter) for letter in beyond) + len(_BESIDE_LATIN.findall(text))
    is_text = len(set(beyond)) >= _FEWEST_LETTERS and odd <= len(beyond) * _TOLERATED
    return best.encoding if is_text else None


def _of_one_byte(sample: bytes) -> str | None:
    # A frequent word counts once.
    words = b" ".join(sorted({word for word in _WORD.findall(sample) if not word.isascii()}))
    best, name, known = -inf, "", frozenset[str]()
    for encoding in dict.fromkeys(encoding for _, encodings in _LANGUAGES for encoding in encodings):
        text = words.decode(encoding, "replace")
        counted = Counter(filter(_is_beyond, text))
        pairs = Counter(pair for pair in pairwise(text) if any(map(_is_beyond, pair)))
        handicap = counted.total() * log(_OLD_CHANCE) if encoding in _OLD else 0
        for letters, encodings in _LANGUAGES:
            if encoding not in encodings:
                continue
            first = _WESTERN_FIRST if encoding == _WESTERN[0] and letters != _ICELANDIC else 0
            likelihood = _likelihood(letters, counted, pairs) + first + handicap
            if likelihood > best:
                best, name, known = likelihood, encoding, frozenset({*letters, *letters.upper(), *_SIGNS})
    letters = set(filter(_is_beyond, sample.decode(name, "replace")))
    if name != _WESTERN[0] and sum(map(str.isalpha, letters)) < _FEWEST_LETTERS:
        return None
    lines = sample.decode(name, "replace").split("\n")
    strange = sum(not known.issuperset(filter(_is_beyond, line)) for line in lines)
    return name if strange <= len(lines) * _TOLERATED else None


def _likelihood(letters: str, counted: Counter[str], pairs: Counter[tuple[str, str]]) -> float:
    """Return how likely a text of the language has these letters beyond ASCII, as a logarithm."""
    total = sum(1 / (rank + 2) for rank in range(len(letters)))
    chances = dict.fromkeys(_SIGNS, _SIGN)
    for rank, letter in enumerate(letters):
        chances[letter.upper()] = _CAPITAL / (rank + 2) / total
        chances[letter] = 1 / (rank + 2) / total
    is_latin = letters[0] < "\u0250"
    odd = sum(times * log(_chance(*pair, is_latin=is_latin)) for pair, times in pairs.items())
    return sum(times * log(chances.get(letter, _RARE)) for letter, times in counted.items()) + odd


def _chance(letter: str, next_: str, *, is_latin: bool) -> float:
    """Return how likely two neighbours are: a word has hardly two scripts, or a capital after a small letter."""
    are_letters, beyond = (letter + next_).isalpha(), _is_beyond(letter) and _is_beyond(next_)
    if are_letters and not is_latin and not beyond:
        return _RARE
    if (letter.islower() and next_.isupper()) or (_is_beyond(letter) and letter.isalpha() and next_.isdigit()):
        return _SIGN
    return _PAIR if are_letters and beyond and is_latin else 1


def _is_beyond(letter: str) -> bool:
    return not letter.isascii()


def _first(lines: Sequence[bytes]) -> list[bytes]:
    taken, size = list[bytes](), 0
    for line in lines:
        size += len(line)
        if taken and size > _MOST_BYTES:
            break
        taken.append(line[:_MOST_BYTES])
    return taken
