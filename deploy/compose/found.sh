#!/usr/bin/env bash
# Founds the fleet of compose.yml, once: web-1 is its first signer, web-2 and web-3 join, then the coordinator, which is
# given an operator's key of its own for what people order by its API.
#
#   SMARTFW_PASSPHRASE=… deploy/compose/found.sh OPERATOR
#
# The passphrase is that of the operator's key and of the cluster's root. Both are written to the volume `keys`.
set -euo pipefail
operator=${1:-}
if [ -z "$operator" ] || [ -z "${SMARTFW_PASSPHRASE:-}" ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
export SMARTFW_PASSPHRASE
cd "$(dirname "$0")"

first=172.30.70.11
on_first() { docker compose exec -T -e HOME=/keys -e SMARTFW_PASSPHRASE web-1 smartfw-cli "$@"; }
token() { on_first cluster token -o raw "$@"; }

# Before any container: only one of the services that have the image says how it is built.
docker compose build web-1-host coordinator
docker compose up --detach --wait web-1 web-2 web-3
on_first cluster init --name fleet --advertise $first --operator "$operator" --root-file /keys/smartfw-root-fleet.pem
for node in web-2 web-3; do
  # On the command line anybody on the host could read it.
  SMARTFW_TOKEN=$(token) docker compose exec -T -e SMARTFW_TOKEN $node smartfw-cli cluster join $first
done
SMARTFW_TOKEN=$(token --role coordinator) docker compose run --rm --no-deps -T -e SMARTFW_TOKEN coordinator \
  join $first:7470 --name coordinator --advertise 172.30.70.10:7471
SMARTFW_TOKEN=$(token --role operator) docker compose run --rm --no-deps -T -e SMARTFW_TOKEN \
  -e SMARTFW_OPERATOR_DIR=/var/lib/smartfw-coordinator/coordinator/operator --entrypoint smartfw-cli coordinator \
  cluster join $first:7470 --operator coordinator-api --no-passphrase
docker compose up --detach coordinator
docker compose exec -T web-1 smartfw-cli cluster nodes
echo "Now move the keys to a safe place (docker compose cp web-1:/keys .), and remove them from the volume 'keys'."
