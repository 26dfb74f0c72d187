"""Reads dashboards into Grafana's own types and back; prints whatever was lost or changed on the way."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def compare(path, ours, theirs):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            compare(f"{path}/{key}", value, theirs.get(key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            compare(f"{path}/{i}", a, b)
    elif ours != theirs:
        print(f"{path}: {ours!r} became {theirs!r}")


register_default_plugins()
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as text:
        dashboard = json.load(text)
    compare(file, dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard))))
