"""The parts of a document that are written by a script, between two comments that say by which."""


def splice(document: str, begin: str, end: str, text: str) -> str:
    """The document with this text between its markers; ValueError where it has none."""
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the document lacks the lines {begin!r} and {end!r}")
    block = f"{text}\n\n" if text else ""
    return f"{before}{begin}\n\n{block}{end}{after}"
