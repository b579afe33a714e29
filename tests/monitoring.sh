#!/usr/bin/env bash
# Whether Prometheus reads the alert rules, whether they do what their tests say, and whether it can parse every query of
# the boards. Needs promtool and python3.
set -eu
cd "$(dirname "$0")/../deploy/monitoring"
promtool check rules alerts.yml coordinator.yml
promtool test rules alerts.test.yml coordinator.test.yml
# A rule without a test would be one that nobody has seen fire.
for rules in alerts coordinator; do
  grep -o 'alert: .*' "$rules.yml" | cut -d ' ' -f 2 | while read -r alert; do
    [ "$(grep -cw "alertname: $alert" "$rules.test.yml")" -ge 2 ] || { echo "$alert has no test" >&2; exit 1; }
  done
done
queries=$(mktemp --suffix .yml)
trap 'rm -f "$queries"' EXIT
python3 - grafana.json coordinator.json >"$queries" <<'PYTHON'
import json, sys
stand_ins = {"$__rate_interval": "5m", "$instance": ".*", "$job": "smartfw"}
print("groups:\n  - name: boards\n    rules:")
for path in sys.argv[1:]:
    panels = json.load(open(path))["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(queries) > 20, path + " is empty"
    for number, query in enumerate(queries):
        for name, value in stand_ins.items():
            query = query.replace(name, value)
        assert "$" not in query, query
        print(f"      - {{record: 'board:{path.split('.')[0]}:{number}', expr: {json.dumps(query)}}}")
PYTHON
promtool check rules "$queries"
