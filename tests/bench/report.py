"""Medians, quartiles and same-round ratios, as a plain table and as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.bench.endurance import Endurance
from tests.bench.generators import Figures
from tests.bench.measures import Aim, Measure
from tests.bench.rounds import Record

Cell = tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)}-{number(self.high)})"


def number(value: float) -> str:
    """Three digits that matter."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def ratios(samples: dict[str, dict[int, Figures]], subject: str, other: str, figure: str) -> list[float]:
    """Subject divided by other, round by round: what disturbs a round disturbs both."""
    ours, theirs = samples.get(subject, {}), samples.get(other, {})
    pairs = [(ours[turn][figure], theirs[turn][figure]) for turn in sorted(ours.keys() & theirs)]
    return [our / their for our, their in pairs if our and their]


def comparable(figure: str) -> bool:
    """What TLS settled on is a fact about each method and no measure of it."""
    return not figure.startswith("TLS")


def judge(aim: Aim | None, value: float) -> tuple[str, str]:
    if aim is None:
        return "", ""
    return f"{aim.relation} {aim.bound:g}", "met" if aim.met(value) else "MISSED"


def table(rows: list[Cell]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def measure_table(measure: Measure, samples: dict[str, dict[int, Figures]], wanted: str | None) -> str:
    subject = wanted or measure.subject
    rows: list[Cell] = [("", "figure", "median (quartiles)", f"{subject} / it (quartiles)", "aim", "")]
    for name in measure.methods:
        turns = samples.get(name, {})
        figures = list(next(iter(turns.values()), {}))
        for place, figure in enumerate(figures):
            values = [sample[figure] for sample in turns.values()]
            if figure.startswith(("CPU", "MB")) and not any(values):
                continue  # the kernel's methods have no process whose CPU could be read
            aim = next((aim for aim in measure.aims if (aim.figure, aim.other) == (figure, name)), None)
            quotients = ratios(samples, subject, name, figure) if name != subject and comparable(figure) else []
            ratio = Spread.of(quotients) if quotients else None
            cells = judge(aim if subject == measure.subject else None, ratio.median) if ratio else ("", "")
            rows.append((name if place == 0 else "", figure, str(Spread.of(values)), str(ratio or ""), *cells))
        if not turns:
            rows.append((name, "", "no sample", "", "", ""))
    return f"{measure.title}\n{table(rows)}"


def endurance_table(measure: Endurance, found: dict[str, Figures]) -> str:
    rows: list[Cell] = [("", "figure", "value", "aim", "")]
    for name in measure.methods:
        for place, (figure, value) in enumerate(found.get(name, {}).items()):
            aim = next((aim for aim in measure.aims if aim.figure == figure), None)
            cells = judge(aim if name == measure.subject else None, value)
            rows.append((name if place == 0 else "", figure, number(value), *cells))
        if name not in found:
            rows.append((name, "", "no sample", "", ""))
    return f"{measure.title}\n{table(rows)}"


def document(
    environment: dict[str, object],
    measures: list[Measure],
    record: Record,
    endurance: list[Endurance],
    found: dict[str, dict[str, Figures]],
    wanted: str | None,
) -> dict[str, object]:
    """Everything, with every sample, for machines."""
    return {
        "environment": environment,
        "rounds": [
            {
                "title": measure.title,
                "subject": wanted or measure.subject,
                "samples": record.samples.get(measure.title, {}),
                "ratios": _all_ratios(record.samples.get(measure.title, {}), wanted or measure.subject),
                "aims": [asdict(aim) for aim in measure.aims],
            }
            for measure in measures
        ],
        "once": [
            {
                "title": measure.title,
                "figures": found.get(measure.title, {}),
                "aims": [asdict(aim) for aim in measure.aims],
            }
            for measure in endurance
        ],
        "failures": record.failures,
    }


def _all_ratios(samples: dict[str, dict[int, Figures]], subject: str) -> dict[str, dict[str, dict[str, float]]]:
    """Of the subject to every other method, by figure."""
    return {
        name: {
            figure: asdict(Spread.of(quotients))
            for figure in next(iter(turns.values()))
            if comparable(figure) and (quotients := ratios(samples, subject, name, figure))
        }
        for name, turns in samples.items()
        if name != subject
    }
