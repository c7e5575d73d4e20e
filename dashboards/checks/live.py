"""Every query of rules and dashboards against a live Prometheus that scrapes a fleet."""

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request

import dashboard

# Seconds: how far back a panel's range query looks, and its step.
LOOK_BACK, STEP = 600, 15

# Queries that may rightly find nothing, by panel title and refId, or by rule; and why.
MAY_BE_EMPTY = {
    ("What needs a person now", "A"): "nobody is stuck, dead or stale in a healthy fleet",
    ("Alerts that fire", "A"): "none fires in a healthy fleet, nor where the rules are not loaded",
    ("Drift", "A"): "a fleet that runs as configured has none",
    ("Tokens per minute by kind", "B"): "not every model reasons",
    ("Tokens today by agent", "F"): "not every model reasons",
    ("Dropped and failed per second", "A"): "a sidecar that drops nothing has no reason to name",
    ("Dropped and failed per second", "B"): "a collector that drops nothing has no reason to name",
    ("Old facts, limits hit, broken file", "C"): "no account of a healthy fleet is at its limit",
    "fleet:agents:by_stuck_kind": "nobody is stuck in a healthy fleet",
    "fleet:agents:by_drift_kind": "a fleet that runs as configured has none",
}


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        """The answer's data. Raises OSError or ValueError with what Prometheus said."""
        data = urllib.parse.urlencode(parameters, doseq=True)
        # Long queries do not fit into an address; only these paths take a form.
        form = data.encode() if path.startswith("query") else None
        address = f"{self.url}/api/v1/{path}" + ("" if form else f"?{data}")
        try:
            with urllib.request.urlopen(urllib.request.Request(address, form), timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(_reason(error.read().decode(errors="replace"))) from None

    def query(self, text, instant):
        now = time.time()
        if instant:
            return self.get("query", query=text, time=now)["result"]
        return self.get("query_range", query=text, start=now - LOOK_BACK, end=now, step=STEP)["result"]


def check(url, rules, dashboards, report):
    prometheus = Prometheus(url)
    try:
        prometheus.get("status/buildinfo")
    except (OSError, ValueError) as error:
        report.expect(False, url, f"no Prometheus answers: {error}")
        return
    used = set()
    for place, rule in rules:
        result = _run(prometheus, place, rule["expr"], True, report)
        if "record" in rule:
            _expect_values(result, rule["record"], place, rule["expr"], used, report)
    for place, board in dashboards:
        for where, panel, target in dashboard.queries(place, board):
            text = dashboard.substitute(target.get("expr", ""), board)
            result = _run(prometheus, where, text, target.get("instant"), report)
            _expect_values(result, (panel.get("title"), target.get("refId")), where, text, used, report)
        _variables(prometheus, place, board, report)
    for key in MAY_BE_EMPTY.keys() - used:
        report.fail("checks/live.py", f"MAY_BE_EMPTY has {key}, which no rule or panel is")


def _run(prometheus, place, text, instant, report):
    """The result; None where the query failed, which is reported."""
    try:
        result = prometheus.query(text, instant)
    except (OSError, ValueError) as error:
        report.expect(False, place, f"{error}: {text}")
        return None
    report.expect(True, place, "")
    return result


def _expect_values(result, key, place, text, used, report):
    used.add(key)
    if result is not None and key not in MAY_BE_EMPTY:
        report.expect(any(map(_has_value, result)), place, f"finds nothing: {text}")


def _has_value(series):
    samples = series["values"] if "values" in series else [series["value"]]
    return any(not math.isnan(float(value)) for _, value in samples)


def _variables(prometheus, place, board, report):
    for name, variable in dashboard.variables(board).items():
        query = variable.get("query")
        found = dashboard.LABEL_VALUES.fullmatch(query["query"]) if isinstance(query, dict) else None
        if not found:
            continue
        selector = dashboard.substitute(found[1] + (found[2] or ""), board)
        where = f"{place}: variable {name}"
        try:
            values = prometheus.get(f"label/{found[3]}/values", **{"match[]": selector})
        except (OSError, ValueError) as error:
            report.expect(False, where, f"{error}: {selector}")
            continue
        report.expect(values, where, f"finds nothing: {selector}")


def _reason(body):
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError):
        return body[:200]
