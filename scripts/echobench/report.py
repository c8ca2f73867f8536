"""scripts/report: a folder of results as a page to read, a page to commit, tables and figures.

report.html is one file; report.md refers to figures/. Two builds of the same folder are the same,
byte for byte: nothing of the time or place of the build goes in.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from echobench import document, method, result_set, table
from echobench.command_line import Parser, run
from echobench.comparison import Finding, compare_all, conclusion, judgement
from echobench.document import Heading, Listing, Paragraph, Part, Points, Table
from echobench.findings import (
    DAGGER_NOTE,
    WORDS_FOR_PEOPLE,
    WORDS_IN_OVERVIEW,
    for_people,
    for_spreadsheets,
    in_short,
    overview,
)
from echobench.illustration import Illustration
from echobench.result_set import BadResults, ResultSet
from echobench.whereabouts import called

UNREADABLE = 2
NO_FIGURES = "There are no figures: Debian's python3-matplotlib was not there to draw them."


def build(folder: Path, out: Path | None = None) -> list[Path]:
    """Writes the report of a folder, into it or elsewhere; the pages, best first.

    Raises BadResults, and OSError where it cannot write.
    """
    results = result_set.read(folder)
    if not any(each.result is not None for each in results.slices):
        raise BadResults(f"{folder}: no slice has a result, so there is nothing to report")
    out = folder if out is None else out
    for name, content in _files(results).items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [out / "report.html", out / "report.md"]


def _files(results: ResultSet) -> dict[str, bytes]:
    figures = _figures(results)
    findings = compare_all(results.manifest, results.slices)
    rows = overview(results.manifest, results.slices, findings)
    parts = _parts(results, findings, rows, figures)
    title = results.manifest.title
    files = {
        "report.html": document.to_html(title, parts),
        "report.md": document.to_markdown(title, parts),
        "tables/overview.tex": table.latex(rows, WORDS_IN_OVERVIEW),
        "tables/overview.csv": table.as_csv(rows),
        "tables/comparison.tex": table.latex(for_people(findings), WORDS_FOR_PEOPLE),
        "tables/comparison.csv": table.as_csv(for_spreadsheets(findings)),
    }
    drawn = {
        f"figures/{each.name}.{form}": content
        for each in figures
        for form, content in each.forms().items()
    }
    return {**{name: text.encode() for name, text in files.items()}, **drawn}


def _figures(results: ResultSet) -> list[Illustration]:
    """None where matplotlib is not there: the tables are worth a page too."""
    try:
        from echobench.figures import Figures
    except ImportError:
        return []
    return Figures(results).all()


def _parts(
    results: ResultSet,
    findings: Sequence[Finding],
    rows: table.Rows,
    figures: Sequence[Illustration],
) -> list[Part]:
    manifest = results.manifest
    drawn: list[Part] = [*figures] or [Paragraph(NO_FIGURES)]
    details: Sequence[Part] = [
        Heading("Every comparison"),
        Table(for_people(findings), WORDS_FOR_PEOPLE),
        Paragraph(DAGGER_NOTE),
    ]
    return [
        *_answers(results, findings),
        Table(rows, WORDS_IN_OVERVIEW),
        Heading("Figures"),
        *drawn,
        *(details if findings else []),
        Heading("Method"),
        *map(Paragraph, method.method(results)),
        Heading("Environment"),
        Table(method.environment(results.slices), left=2),
        Heading("To repeat it"),
        Listing(method.repeat(manifest)),
        Paragraph("The servers were started like this, with a port and a CPU:"),
        Listing(method.servers(manifest)),
        Paragraph("slices.jsonl has each slice whole, manifest.json the order and the versions; "
                  "tables/ has these tables for LaTeX (booktabs) and as CSV, figures/ the figures "
                  "as SVG, PNG and PDF."),
    ]


def _answers(results: ResultSet, findings: Sequence[Finding]) -> list[Part]:
    """What comes first: the answers, and what stands against them."""
    manifest = results.manifest
    primary = [each for each in findings if each.primary]
    answers = [conclusion(each) for each in primary]
    if len(manifest.workloads) > 1:
        answers = [in_short(subject.name, primary) for subject in manifest.subjects
                   if subject.name != manifest.baseline]
    said, _ = judgement(results.slices)
    doubts = said[1:] + [
        f"{subject} was not measured: {_first_line(reason)}"
        for subject, reason in manifest.unavailable.items()
    ]
    if manifest.finished_at is None:
        doubts.append("The experiment was not finished; this is what there is of it.")
    measured = f"Measured on {manifest.started_at[:10]}. {said[0]}."
    return [
        *([Points(answers)] if answers else []),
        Paragraph(measured),
        *([Points(doubts)] if doubts else []),
    ]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = Parser(
        prog="report", allow_abbrev=False, usage=f"{called('report')} DIR [--out=DIR]",
        description="Builds report.html, report.md, tables/ and figures/ from a folder of results.",
        epilog="Exit status: 0 fine; 1 could not write; 2 usage, or a file that cannot be read.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of results")
    parser.add_argument("--out", type=Path, metavar="DIR", help="not into the same folder")
    parsed = parser.parse_args(arguments)
    try:
        for path in build(parsed.folder, parsed.out):
            print(path)
    except BadResults as error:
        print(f"report: {error}", file=sys.stderr)
        return UNREADABLE
    except OSError as error:
        print(f"report: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run(main)
