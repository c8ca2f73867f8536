"""A figure once it is drawn. Apart from what draws it, so that a page can do without matplotlib."""

from dataclasses import dataclass

INK = "#1b1f24"
FAINT = "#8a9199"
PAPER = "#ffffff"


@dataclass(frozen=True)
class Illustration:
    """A figure in its three forms, its file name without ending, and its caption."""

    name: str
    caption: str
    svg: bytes
    png: bytes
    pdf: bytes

    def forms(self) -> dict[str, bytes]:
        """By the ending of their files."""
        return {"svg": self.svg, "png": self.png, "pdf": self.pdf}
