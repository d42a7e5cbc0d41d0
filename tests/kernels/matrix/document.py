# SPDX-License-Identifier: Apache-2.0
"""What a whole run writes: the tables of docs/kernels.md, and the verifier's numbers."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/kernels.md"
BUDGET = ROOT / "tests/kernels/verifier-budget.json"
BEGIN, END = "<!-- made by tests/kernels/run.sh --write -->\n", "<!-- end of what is made -->"


def write(reports, suites):
    """Only of kernels whose run had no failure: a page says what was seen to work."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{tables(reports, suites)}{END}{after}")
    budget = json.loads(BUDGET.read_text())
    for report in reports.values():
        if costs := report.outcomes["load"].properties.get("costs"):
            budget[version(report.release)] = json.loads(costs)
    BUDGET.write_text(json.dumps(budget, indent=2, sort_keys=True) + "\n")


def version(release):
    return re.match(r"\d+\.\d+", release)[0]


def _row(cells):
    return f"| {' | '.join(cells)} |\n"


def tables(reports, suites):
    """Two: what ran, and what is done in another way."""
    every = list(reports.values())
    out = _row(["", *(report.release for report in every)]) + _row(["---"] * (len(every) + 1))
    for suite in suites:
        cells = []
        for report in every:
            outcome = report.outcomes[suite.name]
            counts = [f"{len(outcome.passed)} passed"]
            if outcome.failed:
                counts.append(f"{len(outcome.failed)} failed")
            if outcome.skipped:
                counts.append(f"{len(outcome.skipped)} skipped")
            cells.append(", ".join(counts))
        out += _row([suite.title, *cells])
    costs = {}
    for report in every:
        costs.update(lacks(report))
    out += "\n" + _row(["lacks", *(version(report.release) for report in every), "then"])
    out += _row(["---"] * (len(every) + 2))
    for feature, cost in costs.items():
        out += _row([f"`{feature}`", *("x" if feature in lacks(report) else "" for report in every), cost])
    if not costs:
        out += _row(["nothing", *([""] * (len(every) + 1))])
    return out + "\n"


def lacks(report):
    """{feature: what it costs}, as the guest's kernel was probed, and as tests came upon it."""
    found = {}
    for outcome in report.outcomes.values():
        found.update(json.loads(outcome.properties.get("lacks", "{}")))
    return found
