"""The structure of dashboards, by the rules that Grafana's own linter has, and every query against the catalogue."""

import json
import re
import tempfile
from pathlib import Path

import promtool

PANELS = {"barchart", "bargauge", "gauge", "heatmap", "piechart", "row", "stat", "state-timeline", "table", "text", "timeseries"}
DATASOURCE = "${datasource}"
# Grafana's own, with a value to try a query with.
BUILT_IN = {"__rate_interval": "1m", "__range": "1h", "__range_s": "3600", "__interval": "15s", "__interval_ms": "15000"}
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
LABEL_VALUES = re.compile(r"label_values\((\w+)(\{.*\})?, *(\w+)\)")


def load(folder, report):
    """Every dashboard as (place, its JSON)."""
    found = []
    for path in sorted((folder / "grafana").glob("*.json")):
        try:
            found.append((f"grafana/{path.name}", json.loads(path.read_text())))
        except ValueError as error:
            report.fail(f"grafana/{path.name}", error)
    report.expect(found, "grafana", "there is no dashboard")
    uids = [board.get("uid") for _, board in found]
    report.expect(len(set(uids)) == len(uids), "grafana", "two dashboards have the same uid")
    return found


def panels(board):
    """Every panel, those inside collapsed rows too."""
    for panel in board.get("panels", []):
        yield panel
        yield from panel.get("panels") or []


def queries(place, board):
    """Every query as (place, panel, target)."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            where = f"{place}: panel {panel.get('id')} \"{panel.get('title')}\", query {target.get('refId')}"
            yield where, panel, target


def variables(board):
    return {variable.get("name"): variable for variable in board.get("templating", {}).get("list", [])}


def substitute(text, board):
    """The query as Grafana sends it with every variable at `All`."""
    values = BUILT_IN | {name: variable.get("allValue", ".*") for name, variable in variables(board).items()}
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), text)


def check(place, board, catalogue, report):
    expect = report.expect
    expect(re.fullmatch(r"[a-z0-9-]{3,40}", board.get("uid") or ""), place, "has no stable uid")
    expect(board.get("title") and board.get("description"), place, "has no title or no description")
    expect(board.get("schemaVersion") == 39, place, "schemaVersion is not 39")
    expect(board.get("editable") is False, place, "is editable")
    expect(board.get("id", 1) is None, place, "has an id, which belongs to one Grafana only")
    _variables(place, board, catalogue, report)
    ids = [panel.get("id") for panel in panels(board)]
    for double in sorted({str(number) for number in ids if ids.count(number) > 1}):
        report.fail(place, f"panel id {double} is there twice")
    _layout(place, board, report)
    for panel in panels(board):
        _panel(f"{place}: panel {panel.get('id')} \"{panel.get('title')}\"", panel, report)
    for where, _, target in queries(place, board):
        _query(where, target, catalogue, report)
    _syntax(place, board, report)


def _variables(place, board, catalogue, report):
    expect, known = report.expect, variables(board)
    source = known.get("datasource", {})
    is_source = source.get("type") == "datasource" and source.get("query") == "prometheus"
    expect(is_source, place, "has no variable `datasource` that chooses a Prometheus")
    used = {a or b for a, b in VARIABLE.findall(json.dumps(board))}
    for name in sorted(used - known.keys() - BUILT_IN.keys() - {"__all"}):
        report.fail(place, f"variable ${name} is not defined")
    for name, variable in known.items():
        where = f"{place}: variable {name}"
        expect(variable.get("label"), where, "has no label")
        expect(name in used, where, "is used nowhere")
        if variable.get("type") != "query":
            continue
        query = variable.get("query", "")
        query = query.get("query", "") if isinstance(query, dict) else query
        found = LABEL_VALUES.fullmatch(query)
        expect(variable.get("refresh") == 2, where, "is not refreshed when the time range changes")
        expect(variable.get("datasource", {}).get("uid") == DATASOURCE, where, f"does not read from {DATASOURCE}")
        if expect(found, where, f"is no label_values(metric, label): {query}"):
            catalogue.judge(found[1] + (found[2] or ""), where)
            labels = catalogue.labels(found[1])
            expect(labels is None or found[3] in labels, where, f"`{found[1]}` has no label `{found[3]}`")


def _layout(place, board, report):
    taken = {}
    for panel in board.get("panels", []):
        where, grid = f"{place}: panel {panel.get('id')} \"{panel.get('title')}\"", panel.get("gridPos", {})
        x, y, w, h = (grid.get(key) for key in "xywh")
        if not report.expect(all(type(n) is int and n >= 0 for n in (x, y, w, h)) and w and h, where, f"gridPos {grid}"):
            continue
        report.expect(x + w <= 24, where, f"reaches column {x + w}, the last is 24")
        cells = {(column, line) for column in range(x, x + w) for line in range(y, y + h)}
        others = sorted({str(taken[cell]) for cell in cells if cell in taken})
        report.expect(not others, where, f"lies over panel {', '.join(others)}")
        taken.update(dict.fromkeys(cells, panel.get("id")))


def _panel(where, panel, report):
    expect, kind = report.expect, panel.get("type")
    expect(kind in PANELS, where, f"unknown type {kind!r}")
    expect(panel.get("title"), where, "has no title")
    if kind in ("row", "text"):
        return
    expect(panel.get("description"), where, "has no description")
    expect(panel.get("fieldConfig", {}).get("defaults", {}).get("unit"), where, "has no unit")
    expect((panel.get("datasource") or {}).get("uid") == DATASOURCE, where, f"does not read from {DATASOURCE}")
    expect(any(not target.get("hide") for target in panel.get("targets", [])), where, "has no query")
    refs = [target.get("refId") for target in panel.get("targets", [])]
    expect(len(set(refs)) == len(refs) and all(refs), where, "two queries have the same refId, or one has none")


def _query(where, target, catalogue, report):
    text = target.get("expr") or ""
    report.expect((target.get("datasource") or {}).get("uid") == DATASOURCE, where, f"does not read from {DATASOURCE}")
    if not report.expect(text.strip(), where, "is empty"):
        return
    catalogue.judge(text, where)
    windows = {"$__rate_interval", "$__range"} if target.get("instant") else {"$__rate_interval"}
    for window in re.findall(r"\[([^\]]*)\]", text):
        report.expect(window in windows, where, f"looks at [{window}], not at {' or '.join(sorted(windows))}: {text}")


def _syntax(place, board, report):
    """promtool parses the queries as if they were recording rules: all at once, one by one where that fails."""
    found = [(where, substitute(target.get("expr") or "0", board)) for where, _, target in queries(place, board)]
    all_parse = not found or _parses([text for _, text in found])
    for where, text in found:
        report.expect(all_parse or _parses([text]), where, f"is no PromQL: {text}")


def _parses(texts):
    made = [{"record": f"q{number}", "expr": text} for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queries.yml"
        path.write_text(json.dumps({"groups": [{"name": "queries", "rules": made}]}))
        return promtool.run("check", "rules", "--lint=none", path)[0]
