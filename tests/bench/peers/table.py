"""Samples of llama.cpp and of gabion as rows, and rows as a table. A row is plain data, for --json, too."""

import statistics

ENGINES = ("llama.cpp", "gabion")


def row(device: str, test: str, unit: str, samples: dict) -> dict:
    """`samples`: a list of numbers for each engine. `ratio` is gabion's median over llama.cpp's."""
    medians = {engine: statistics.median(values) for engine, values in samples.items() if values}
    ratio = medians["gabion"] / medians["llama.cpp"] if len(medians) == 2 else None
    rounded = {engine: [round(value, 4) for value in values] for engine, values in samples.items()}
    return {"device": device, "test": test, "unit": unit, "medians": medians, "ratio": ratio, "samples": rounded}


def markdown(rows: list) -> str:
    """Medians with every sample's range."""
    lines = ["| device | test | unit | llama.cpp | gabion | gabion / llama.cpp |", "|---|---|---|---:|---:|---:|"]
    for row in rows:
        cells = [cell(row, engine) for engine in ENGINES]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.4f}x" if row["test"].startswith("perplexity") else f"{row['ratio']:.2f}x"
        lines.append(f"| {row['device']} | {row['test']} | {row['unit']} | {cells[0]} | {cells[1]} | {ratio} |")
    return "\n".join(lines)


def cell(row: dict, engine: str) -> str:
    values = row["samples"][engine]
    if not values:
        return "-"
    median, low, high = (digits(value) for value in (row["medians"][engine], min(values), max(values)))
    return median if len(values) == 1 else f"{median} ({low}-{high})"


def digits(value: float) -> str:
    """Four figures, or all before the point."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
