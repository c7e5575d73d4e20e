"""The catalogue of what the collector exports, and whether an expression keeps to it."""

import json
import re

import promql

KEYS = {"name", "type", "unit", "help", "labels"}
COUNTING = {"rate", "increase", "irate", "resets"}
TARGET = {"job", "instance"}
# What Prometheus itself makes; None: whatever labels.
BUILT_IN = {"up": set(), "ALERTS": None, "ALERTS_FOR_STATE": None}


class Catalogue:
    def __init__(self, report):
        self.series = {}
        self.recorded = set()
        self.report = report

    def load(self, path):
        for entry in json.loads(path.read_text()):
            self._add(entry, f"{path.name}: {entry.get('name')}")
        self.report.expect(self.series, path.name, "names no metric")

    def _add(self, entry, place):
        expect = self.report.expect
        if not expect(KEYS <= entry.keys(), place, f"lacks {', '.join(sorted(KEYS - entry.keys()))}"):
            return
        name, kind, labels, values = entry["name"], entry["type"], set(entry["labels"]), entry.get("values", {})
        expect(re.fullmatch(r"fleet_[a-z0-9_]+", name), place, "the name is not fleet_…")
        expect(kind in ("gauge", "counter", "histogram"), place, f"unknown type {kind!r}")
        expect(name.endswith("_total") == (kind == "counter"), place, "counters, and only they, end in _total")
        expect(entry["help"] and entry["unit"], place, "help or unit is empty")
        expect(values.keys() <= labels, place, "values of a label that it has not")
        expect(name not in self.series, place, "is there twice")
        if kind == "histogram":
            for suffix, more in (("_bucket", {"le"}), ("_sum", set()), ("_count", set())):
                self.series[name + suffix] = ("counter", labels | more, values)
        else:
            self.series[name] = (kind, labels, values)

    def labels(self, name):
        if name in BUILT_IN:
            return BUILT_IN[name]
        return self.series[name][1] if name in self.series else None

    def judge(self, text, place):
        """Every name, label and closed value exists; counters are seen through a rate, gauges never are."""
        expect = self.report.expect
        found = promql.read(text)
        expect(found.selectors, place, f"selects nothing: {text}")
        any_label = False
        allowed = TARGET | set(found.made)
        for selector in found.selectors:
            name = selector.name
            known = name in self.series or name in BUILT_IN or name in self.recorded
            if not expect(known, place, f"no such metric `{name}`: {text}"):
                any_label = True
                continue
            if name not in self.series:
                any_label |= BUILT_IN.get(name) is None
                allowed |= BUILT_IN.get(name) or set()
                continue
            kind, labels, values = self.series[name]
            allowed |= labels
            for label, operator, value in selector.matchers:
                if expect(label in labels | TARGET, place, f"`{name}` has no label `{label}`: {text}"):
                    self._closed(name, label, operator, value, values, place)
            counts = selector.function in COUNTING
            if kind == "counter":
                expect(counts and selector.range, place, f"counter `{name}` outside of rate or increase: {text}")
            else:
                expect(not counts or selector.function == "resets", place, f"{selector.function} of gauge `{name}`: {text}")
        for label in found.grouping:
            expect(any_label or label in allowed, place, f"no metric here has the label `{label}`: {text}")

    def _closed(self, name, label, operator, value, values, place):
        words = value.split("|") if operator in ("=~", "!~") else [value]
        if label not in values or not all(re.fullmatch(r"\w+", word) for word in words):
            return
        for word in words:
            self.report.expect(word in values[label], place, f"`{name}` never has {label}=\"{word}\"")
