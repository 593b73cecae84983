#!/bin/sh
# Meridian is a party to all three agreements of these examples: the alliance of
# vendors, the exchange with the police, and the dialogue with a state. It tries every
# way in which something of the dialogue could get onto a topic of the other two, each
# must be refused with the clause named, and neither the CERT nor the Bureau may have
# any of it.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
examples=$(dirname "$here")
others="aldergate borealis cobalt dunmore elara lumen office-b office-c"

say "twelve members; those of four run, the others have signed and are away"
for member in meridian cert bureau envoy $others; do member $member $member; done
up meridian cert bureau envoy
invite meridian cert bureau envoy

# agree NAME HANDLE…: these sign the example's agreement; whoever runs takes it.
agree() {
	name=$1
	shift
	parties=
	for handle; do parties="$parties --party $handle/members/$handle.v1.yaml"; done
	"$entente" agreements new $name --template "$examples/$name/$name.yaml" -o draft.$name.yaml $parties 2>/dev/null
	dates <draft.$name.yaml >$name.v1.yaml
	for handle; do as $handle agreements sign $name.v1.yaml 2>/dev/null; done
	for handle; do
		case " meridian cert bureau envoy " in *" $handle "*) as $handle agreements import $name.v1.yaml ;; esac
	done
}
agree alliance aldergate borealis cobalt dunmore elara meridian cert
agree exchange bureau office-b office-c meridian
agree dialogue envoy meridian lumen
connected meridian cert bureau envoy
as meridian agreements list

say "the envoy makes a statement, Meridian another"
own envoy "$here/statement.json" | as envoy publish dialogue/statements -
theirs=note--0d1a1060-0001-4000-8000-000000000001
until_ok as meridian --purpose policy-making get $theirs
mine=note--0d1a1060-0001-4000-8000-00000000000a
own meridian "$here/statement.json" | sed "s/$theirs/$mine/" >mine.json
as meridian publish dialogue/statements mine.json
until_ok as envoy --purpose policy-making get $mine
as meridian --purpose policy-making get $theirs 2>/dev/null >theirs.json
identity=$(sed -n 's/.*"created_by_ref": *"\([^"]*\)".*/\1/p' mine.json | head -1)
state=$(sed -n 's/.*"created_by_ref": *"\([^"]*\)".*/\1/p' theirs.json)

# stopped CLAUSE [OBJECT]: what comes on standard input gets onto neither topic, and
# the answers name the clauses.
stopped() {
	cat >try.json
	for topic in alliance/hunting exchange/answers; do
		shown=$(as meridian publish $topic try.json 2>&1) && fail "$topic took it: $shown"
		printf '%s\n' "$shown" | grep -v '^entente:\|^hint:'
		case $shown in *" 0 published"*) ;; *) fail "$topic took some of it" ;; esac
		case $topic in alliance*) clause=$1 ;; *) clause=${2:-$1} ;; esac
		case $shown in *"$clause"*) ;; *) fail "$clause is not named" ;; esac
	done
}
# bare: the object without the label of the dialogue, marked down, in Meridian's name.
bare() { sed -e 's/entente-class:policy-dialogue/seen/' -e 's/939a9414-2ddd-4d32-a0cd-375ea402b003/55d920b0-5e8b-4f79-9ee9-91f868d9b421/' -e "s/$state/$identity/"; }
# raised: a newer version.
raised() { sed "s/\"modified\": *\"[^\"]*\"/\"modified\": \"$later\"/"; }
# related TYPE FIELDS: an object of Meridian's that is about something.
related() {
	printf '{"type":"%s","spec_version":"2.1","id":"%s--0d1a1060-000a-4000-8000-000000000001","created_by_ref":"%s","created":"%s","modified":"%s",%s}\n' \
		"$1" "$1" "$identity" "$today" "$today" "$2"
}

say "the same object"
stopped "alliance v1, clause 6" "exchange v1, clause 7" <theirs.json
stopped "alliance v1, clause 6" "exchange v1, clause 7" <mine.json

say "the same object without its label and marked down, and as a newer version"
bare <theirs.json | stopped "dialogue v1, clause"
bare <theirs.json | raised | stopped "dialogue v1, clause"
own meridian "$here/statement.json" | sed "s/$theirs/$mine/" | bare | stopped "dialogue v1, clause"
own meridian "$here/statement.json" | sed "s/$theirs/$mine/" | bare | raised | stopped "dialogue v1, clause"

say "a copy under another id"
sed 's/0d1a1060-0001/0d1a1060-00cc/' theirs.json | sed "s/$state/$identity/" | stopped "alliance v1, clause 6" "exchange v1, clause 7"

say "something that refers to it"
related note "\"content\":\"See there.\",\"object_refs\":[\"$theirs\"]" | stopped "clause 1 of dialogue"
related note "\"content\":\"See there.\",\"object_refs\":[\"$mine\"]" | stopped "clause 1 of dialogue"
related opinion "\"opinion\":\"agree\",\"object_refs\":[\"$theirs\"]" | stopped "clause 1 of dialogue"
related report "\"name\":\"What they say\",\"published\":\"$today\",\"object_refs\":[\"$theirs\"]" | stopped "clause 1 of dialogue"
related grouping "\"name\":\"What they say\",\"context\":\"unspecified\",\"object_refs\":[\"$theirs\"]" | stopped "clause 1 of dialogue"

say "something derived from it"
{
	related report "\"name\":\"What they say\",\"description\":\"In other words.\",\"published\":\"$today\",\"object_refs\":[\"$theirs\"]"
	related relationship "\"relationship_type\":\"derived-from\",\"source_ref\":\"report--0d1a1060-000a-4000-8000-000000000001\",\"target_ref\":\"$theirs\""
} | stopped "clause 1 of dialogue"

say "nobody of the alliance or the exchange has any of it"
for member in cert bureau; do
	unseen $member $theirs
	unseen $member $mine
	for kind in note opinion report grouping relationship; do unseen $member $kind--0d1a1060-000a-4000-8000-000000000001; done
	as $member search propaganda >found 2>/dev/null || true
	[ ! -s found ] || fail "$member finds: $(cat found)"
	as $member agreements list | grep dialogue && fail "$member knows of the dialogue"
	grep -rqa "paid abroad" $member/store && fail "$member has something of it on its disk"
done

say "and the way back: what Meridian has from the others does not get into the dialogue"
own meridian "$here/astray.json" >astray.json
shown=$(as meridian publish dialogue/statements astray.json 2>&1) && fail "$shown"
printf '%s\n' "$shown"
say "that is all"
