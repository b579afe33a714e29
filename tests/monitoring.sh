#!/usr/bin/env bash
# Whether Prometheus reads the alert rules, whether they do what their tests say, and whether it can parse every query of
# the board. Needs promtool and python3.
set -eu
cd "$(dirname "$0")/../deploy/monitoring"
promtool check rules alerts.yml
promtool test rules alerts.test.yml
queries=$(mktemp --suffix .yml)
trap 'rm -f "$queries"' EXIT
python3 - grafana.json >"$queries" <<'PYTHON'
import json, sys
board = json.load(open(sys.argv[1]))
queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
assert len(queries) > 20, "the board is empty"
stand_ins = {"$__rate_interval": "5m", "$instance": ".*", "$job": "smartfw"}
print("groups:\n  - name: board\n    rules:")
for number, query in enumerate(queries):
    for name, value in stand_ins.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    print(f"      - {{record: 'board:{number}', expr: {json.dumps(query)}}}")
PYTHON
promtool check rules "$queries"
