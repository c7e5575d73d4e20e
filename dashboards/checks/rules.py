"""Rules, their tests, the example configuration, and the runbooks that they point to."""

import re

import plainyaml
import promtool

SEVERITIES = {"critical", "warning", "info"}
RUNBOOKS = "docs/runbooks.md"


def load(folder, report):
    """Every rule as (place, rule)."""
    rules = []
    for path in sorted((folder / "prometheus/rules").glob("*.yml")):
        place = f"rules/{path.name}"
        said = _promtool(["check", "rules", "--lint=all", "--lint-fatal", path], place, report)
        read = [rule for group in _yaml(path, place, report).get("groups") or [] for rule in group["rules"]]
        counted = re.search(r"(\d+) rules found", said)
        if counted:
            report.expect(int(counted[1]) == len(read), place, f"promtool sees {counted[1]} rules, this script {len(read)}")
        for rule in read:
            name = rule.get("alert") or rule.get("record")
            if report.expect(name and rule.get("expr"), place, f"a rule without name or expression: {rule}"):
                rules.append((f"{place}: {name}", rule))
    report.expect(rules, "rules", "there is none")
    names = [rule.get("alert") or rule.get("record") for _, rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        report.fail("rules", f"{name} is there twice")
    return rules


def check(folder, rules, catalogue, report):
    catalogue.recorded = {rule["record"] for _, rule in rules if "record" in rule}
    anchors = _anchors(folder.parent / RUNBOOKS, report)
    for place, rule in rules:
        catalogue.judge(rule["expr"], place)
        if "record" in rule:
            name = re.fullmatch(r"fleet:[a-z0-9_]+:[a-z0-9_]+", rule["record"])
            report.expect(name, place, "the name is not level:metric:operation")
        else:
            _alert(place, rule, anchors, report)
    alerts = {rule["alert"] for _, rule in rules if "alert" in rule}
    for heading in sorted(title for title in anchors.values() if re.fullmatch(r"Fleet\w+", title)):
        report.expect(heading in alerts, RUNBOOKS, f"a section for {heading}, which is no alert")
    for path in sorted((folder / "prometheus").glob("*.yml")):
        _promtool(["check", "config", path], path.name, report)
    _tests(folder, rules, report)


def _alert(place, rule, anchors, report):
    name, labels, notes = rule["alert"], rule.get("labels") or {}, rule.get("annotations") or {}
    report.expect(re.fullmatch(r"Fleet([A-Z][a-z]+)+", name), place, "the name is not FleetCamelCase")
    report.expect(labels.get("severity") in SEVERITIES, place, f"severity is none of {', '.join(sorted(SEVERITIES))}")
    report.expect(rule.get("for"), place, "has no `for`")
    summary, description = notes.get("summary", ""), notes.get("description", "")
    report.expect(summary and "{{" not in summary, place, "has no static summary")
    report.expect("{{" in description, place, "has no templated description")
    file, _, anchor = notes.get("runbook_url", "").partition("#")
    report.expect(file == RUNBOOKS and anchor == name.lower(), place, f"runbook_url is not {RUNBOOKS}#{name.lower()}")
    report.expect(anchor in anchors, place, f"{RUNBOOKS} has no section #{anchor}")


def _tests(folder, rules, report):
    alerts = {rule["alert"]: set() for _, rule in rules if "alert" in rule}
    records = {rule["record"]: False for _, rule in rules if "record" in rule}
    paths = sorted((folder / "prometheus/tests").glob("*.yml"))
    for path in paths:
        place = f"tests/{path.name}"
        _promtool(["test", "rules", path], place, report)
        tests = _yaml(path, place, report)
        for file in tests.get("rule_files") or []:
            report.expect((path.parent / file).is_file(), place, f"no such file {file}")
        for case in tests.get("tests") or []:
            for expected in case.get("alert_rule_test") or []:
                # promtool is content with a case that expects nothing of an alert that does not exist.
                if report.expect(expected["alertname"] in alerts, place, f"no such alert {expected['alertname']}"):
                    alerts[expected["alertname"]].add(bool(expected.get("exp_alerts")))
            for expected in case.get("promql_expr_test") or []:
                if expected["expr"] in records and expected.get("exp_samples"):
                    records[expected["expr"]] = True
    for name, seen in alerts.items():
        report.expect(True in seen, "tests", f"no case in which {name} fires")
        report.expect(False in seen, "tests", f"no case in which {name} does not fire")
    for name, seen in records.items():
        report.expect(seen, "tests", f"no case with values of {name}")


def _anchors(path, report):
    if not report.expect(path.is_file(), RUNBOOKS, "is not there"):
        return {}
    titles = re.findall(r"^#+ +(.+?) *$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"): title for title in titles}


def _yaml(path, place, report):
    try:
        return plainyaml.load(path.read_text()) or {}
    except (plainyaml.YamlError, IndexError) as error:
        report.fail(place, error)
        return {}


def _promtool(arguments, place, report):
    content, said = promtool.run(*arguments)
    report.expect(content, place, f"promtool {arguments[0]} {arguments[1]}: {said}")
    return said
