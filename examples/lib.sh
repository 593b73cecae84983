# What the scripts of the examples share; each begins with ". ../lib.sh". Members are
# nodes of their own on this machine, each with its folder $dir/HANDLE.
#
#   run.sh FOLDER   with entente on the PATH, or $ENTENTE naming the program
#
# A step that must fail says so (refused, unseen); when it does not, the script
# stops with an error. So whatever it has printed has happened.
set -eu
dir=${1:?usage: run.sh FOLDER}
entente=${ENTENTE:-entente}
port=${BASE_PORT:-47100}
case $entente in */*) entente=$(cd "$(dirname "$entente")" && pwd)/$(basename "$entente") ;; esac
began=$(date +%s)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$dir"
export TZ=UTC

say() { printf "\n# %s\n" "$*"; }
fail() {
	printf 'MUST NOT HAPPEN: %s\n' "$*" >&2
	exit 1
}

# as MEMBER VERB…: the verb at that member's node.
as() {
	member=$1
	shift
	"$entente" --home "$dir/$member" "$@"
}

# refused CODE MEMBER VERB…: the verb must end with that exit code; its words are shown.
refused() {
	want=$1
	shift
	got=0
	as "$@" 2>&1 || got=$?
	[ "$got" = "$want" ] || fail "exit code $got, not $want, of: $*"
}

# unseen MEMBER ID: the member has no such object, for no purpose.
unseen() {
	for purpose in '' criminal-investigation policy-making; do
		as "$1" ${purpose:+--purpose $purpose} get "$2" >/dev/null 2>&1 && fail "$1 has $2"
	done
	echo "$1 has no $2"
}

# until_ok COMMAND…: repeat a question until it is answered with yes, for half a minute.
until_ok() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || fail "this stays untrue: $*"
		sleep 0.1
	done
}

# shows TEXT COMMAND…: the command's output must have the text; all of it is shown.
shows() {
	text=$1
	shift
	shown=$("$@" 2>&1) || true
	printf '%s\n' "$shown"
	case $shown in *"$text"*) ;; *) fail "\"$text\" is not in the answer to: $*" ;; esac
}

# has TEXT COMMAND…: whether the output has the text; for until_ok.
has() {
	text=$1
	shift
	"$@" 2>/dev/null | grep -qF "$text"
}

pids=
stop() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	for pid in $pids; do wait "$pid" 2>/dev/null || true; done
	pids=
}
trap stop EXIT
trap 'exit 1' INT TERM

# member HANDLE NAME: makes a member: keys, record, configuration.
member() {
	mkdir -p "$1"
	printf 'listen: ["/ip4/127.0.0.1/tcp/%d"]\npublic-listen: ["/ip4/127.0.0.1/tcp/%d"]\n' "$port" $((port + 1)) >"$1/config.yaml"
	port=$((port + 2))
	as "$1" init --handle "$1" --name "$2" 2>/dev/null
}

# up HANDLE…: starts their nodes, and waits for each.
up() {
	for handle; do
		"$entente" --home "$dir/$handle" up >"$handle/log" 2>&1 </dev/null &
		pids="$pids $!"
	done
	for handle; do until_ok as "$handle" status; done
}

# invite HOST GUEST…: the host sends each a text, which the guest joins with.
invite() {
	host=$1
	shift
	for guest; do as "$host" agreements invite --note "$guest" 2>/dev/null | as "$guest" join - >/dev/null 2>&1; done
}

# in_force NAME HANDLE…: waits until the agreement is in force at each.
in_force() {
	name=$1
	shift
	for handle; do until_ok in_force_at "$name" "$handle"; done
}
in_force_at() { as "$2" agreements list | grep "^$1 " | grep -q ' in-force '; }

# connected HANDLE OTHER…: waits until the one reaches the others.
connected() {
	one=$1
	shift
	for other; do until_ok as "$one" ping "$other"; done
}

# moment SECONDS: that many seconds from now, as agreements and STIX write it.
moment() {
	at=$(($(date +%s) + $1))
	date -u -d "@$at" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$at" +%Y-%m-%dT%H:%M:%SZ
}
# soon: a number of seconds in which what comes next is done, by how long all took
# so far; at least six.
soon() { echo $((6 + 2 * ($(date +%s) - began))); }
wait_for() { until [ "$(date +%s)" -ge "$1" ]; do sleep 0.1; done; }

# own MEMBER FILE: the sample objects as that member would make them now: with its
# own identity, which its record binds to it, and of today.
own() {
	identity=$(sed -n 's/.*\(identity--[0-9a-f-]*\).*/\1/p' "$dir/$1/members/$1.v1.yaml")
	sed -e "s/identity--5ec1e0e0-0000-4000-8000-000000000001/$identity/" \
		-e "s/2026-12-10T09:00:00.000Z/$today/" -e "s/2026-12-12T09:00:00.000Z/$later/" "$2"
}
today=$(moment -3600 | sed 's/Z$/.000Z/')
later=$(moment -1800 | sed 's/Z$/.000Z/')

# dates: a filter that gives an agreement a year from yesterday.
dates() {
	year=$(moment 31536000)
	sed -e "s/^  from: 2026-12-01\$/  from: $(moment -86400)/" -e "s/^  until: 2028-12-01\$/  until: $year/"
}
