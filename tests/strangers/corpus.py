"""All files of the corpus: real excerpts, then shapes."""

from tests.strangers.excerpts import EXCERPTS
from tests.strangers.shape import Shape
from tests.strangers.shapes import SHAPES

CORPUS: tuple[Shape, ...] = (*EXCERPTS, *SHAPES)
