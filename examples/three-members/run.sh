#!/usr/bin/env bash
# Three organisations and a researcher, each with a node of its own on this
# machine, from nothing to shared intelligence. Every step is a command that a
# person would type; what a person would do by mail (passing files on) is a copy
# from folder to folder here.
#
#   run.sh FOLDER   with entente on the PATH, or $ENTENTE naming the program
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: run.sh FOLDER}
entente=${ENTENTE:-entente}
base=${BASE_PORT:-47100}
mkdir -p "$dir"
cd "$dir"

say() { printf '\n# %s\n' "$*"; }
as() { # as MEMBER VERB…: the verb at that member's node
	local member=$1
	shift
	"$entente" --home "$dir/$member" "$@"
}
until_ok() { # repeat a question until it is answered with yes, for a minute or so
	local tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || { echo "gave up waiting for: $*" >&2; return 1; }
		sleep 0.1
	done
}
pids=()
stop() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" || true; done
}
trap stop EXIT

say "each makes its keys and its member record"
port=$base
for member in bank vendor cert researcher; do
	mkdir -p "$member"
	cat >"$member/config.yaml" <<-EOF
		listen: ["/ip4/127.0.0.1/tcp/$port"]
		public-listen: ["/ip4/127.0.0.1/tcp/$((port + 1))"]
	EOF
	port=$((port + 2))
	as $member init --handle $member 2>/dev/null
done

say "the bank writes an agreement from the records of all three, and each signs it"
"$entente" agreements new harbour --party bank/members/bank.v1.yaml --party vendor/members/vendor.v1.yaml \
	--party cert/members/cert.v1.yaml --kind vendor=vendor --kind cert=cert 2>/dev/null
for member in bank vendor cert; do as $member agreements sign harbour.v1.yaml 2>/dev/null; done
say "the CERT writes and signs a public feed"
"$entente" agreements new warnings --template feed --party cert/members/cert.v1.yaml --kind cert=cert 2>/dev/null
as cert agreements sign warnings.v1.yaml 2>/dev/null

say "the nodes come up"
for member in bank vendor cert researcher; do
	"$entente" --home "$dir/$member" up >$member/log 2>&1 </dev/null &
	pids+=($!)
done
for member in bank vendor cert researcher; do until_ok as $member status; done

say "they take each other's records, and the agreements"
for member in bank vendor cert; do
	for other in bank vendor cert; do
		[ $other = $member ] || as $member members add $other/members/$other.v1.yaml >/dev/null
	done
	as $member agreements import harbour.v1.yaml
done
as cert agreements import warnings.v1.yaml
for other in vendor cert; do until_ok as bank ping $other; done
as bank ping vendor >/dev/null && echo "the bank reaches the vendor"

say "the vendor asks what would go where, then publishes"
as vendor publish --dry-run harbour/indicators "$here/campaign.json"
as vendor publish harbour/indicators "$here/campaign.json"

say "the bank and the CERT have it, and can ask about values"
for member in bank cert; do until_ok as $member get indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01; done
found() { [ "$(as "$1" --json lookup --hits-only "$2" | wc -l)" -gt 0 ]; }
until_ok found bank 198.51.100.77
as bank lookup '198.51.100[.]77' 198.51.100.0/24 hxxps://login.harbour-dues.example/a 192.0.2.1 || [ $? = 7 ]

say "the CERT warns the public; the researcher joins by ticket and catches up"
as cert publish warnings/warnings "$here/warning.json"
as cert agreements invite warnings >ticket
as researcher agreements join - <ticket
until_ok as researcher get indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7b01
as researcher agreements list
as researcher get indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01 || echo "the researcher sees nothing of the private alliance (exit code $?)"

say "why: what was decided about the withheld note, and what the log says"
as vendor explain note--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a09
as vendor audit --kind decision --limit 5

say "all is written to a bundle, and the nodes stop"
as bank export --topic harbour/indicators -o bank.json
grep -c '"id":"indicator--' bank.json
