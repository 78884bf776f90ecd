"""All files of the corpus: real excerpts, then shapes."""

from tests.support.strangers.excerpts import EXCERPTS
from tests.support.strangers.shape import Shape
from tests.support.strangers.shapes import SHAPES

CORPUS: tuple[Shape, ...] = (*EXCERPTS, *SHAPES)
