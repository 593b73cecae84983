#!/bin/sh
# Six competing vendors and the national CERT: from nothing to what the agreement
# promises, and what it does not let happen. See README.md.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
all="aldergate borealis cobalt dunmore elara meridian cert"

say "what the agreement answers, before anybody signs it"
"$entente" agreements test --coverage "$here/alliance.yaml"

say "seven organisations, each with its keys and its node; the CERT invites the others"
member aldergate "Aldergate Security"
member borealis "Borealis Endpoint"
member cobalt "Cobalt Mail Defence"
member dunmore "Dunmore Networks"
printf 'internal:\n  domains: [corp.grandquay.example]\n' >>dunmore/config.yaml # of the customer whose network it runs
member elara "Elara Threat Labs"
member meridian "Meridian Platforms"
member cert "National CERT"
up $all
invite cert aldergate borealis cobalt dunmore elara meridian
as cert members

say "the CERT writes the agreement of these seven, with the terms of the example"
echo "(with dates of today, an embargo of some seconds, and three indicators for twenty)"
seconds=$(soon)
embargo=$(($(date +%s) + seconds + 1)) # a second of reserve
until=$(moment $seconds)
as cert agreements new alliance --template "$here/alliance.yaml" -o draft.yaml \
	--party aldergate --party borealis --party cobalt --party dunmore --party elara --party meridian --party cert 2>/dev/null
dates <draft.yaml | sed "s/embargo: .*/embargo: $until/; s/objects: 20/objects: 3/" >alliance.v1.yaml
as cert agreements propose alliance.v1.yaml
for vendor in aldergate borealis cobalt dunmore elara meridian; do
	until_ok as $vendor agreements show alliance
	as $vendor agreements accept alliance --yes >/dev/null 2>&1
done
in_force alliance $all
connected aldergate borealis cobalt dunmore elara meridian cert
as cert agreements list

say "the CERT also has a feed for the public"
as cert agreements new warnings --template feed --party cert --kind cert=cert 2>/dev/null
as cert agreements sign warnings.v1.yaml 2>/dev/null
as cert agreements import warnings.v1.yaml

say "Elara shares a finding early: until the day of publication nobody passes it on"
own elara "$here/early.json" | as elara publish alliance/early -
until_ok as cert get vulnerability--0a11a7ce-0004-4000-8000-000000000001
as cert get vulnerability--0a11a7ce-0004-4000-8000-000000000001 >finding.json
[ "$(date +%s)" -lt $embargo ] || fail "this machine was too slow: the embargo is over before anybody could break it"
say "the CERT may not warn the public of it yet"
shows "embargo" as cert publish warnings/warnings finding.json

say "Aldergate submits a package: observables with their context, under its own name"
own aldergate "$here/package.json" >package.json
as aldergate publish --dry-run alliance/packages package.json
shows "8 published, 2 refused" as aldergate publish alliance/packages package.json
for member in borealis cobalt dunmore elara meridian cert; do
	until_ok as $member get report--0a11a7ce-0001-4000-8000-000000000030
	unseen $member indicator--0a11a7ce-0001-4000-8000-000000000009
done
until_ok has 'TIDEGATE' as borealis lookup 203.0.113.77
as borealis lookup '203.0.113[.]77' 203.0.113.78 || [ $? = 7 ]

say "Cobalt may not submit without a name, nor in the name of Aldergate"
grep -v created_by_ref package.json | shows "0 published" as cobalt publish alliance/packages -
shows "0 published" as cobalt publish alliance/packages package.json

say "Dunmore tells of an incident: the victim is a pseudonym, the submitter is named"
own dunmore "$here/incident.json" >incident.json
as dunmore publish alliance/incidents incident.json
hidden='grand ?quay|robin vale|10\.20\.7\.31|0a11a7ce-0003-4000-8000-00000000000[1234]'
until_ok has incident-- as cert search --type incident
as cert export --topic alliance/incidents
for member in aldergate borealis cobalt elara meridian cert; do
	as $member export --topic alliance/incidents >told.json 2>/dev/null
	grep -iE "$hidden" told.json && fail "$member is told of the victim"
done
grep -rqaiE "$hidden" cert/store && fail "the CERT has something of the victim on its disk"
echo "neither name, address nor id of the victim is with anybody but Dunmore"

say "who takes must give: hunting goes to those whom their contribution entitles, and the CERT"
entitled_at() { as "$1" scoreboard alliance | grep "^ *$2 " | grep -q ' entitled until '; }
for member in aldergate borealis dunmore; do until_ok entitled_at $member aldergate; done
as dunmore scoreboard alliance
own dunmore "$here/hunting.json" >hunting.json
shows "may read: aldergate, cert, dunmore" as dunmore publish alliance/hunting hunting.json
until_ok as cert get report--0a11a7ce-0005-4000-8000-000000000001
until_ok as aldergate get report--0a11a7ce-0005-4000-8000-000000000001
unseen borealis report--0a11a7ce-0005-4000-8000-000000000001

say "a statement of the policy dialogue has no place here"
own meridian "$here/../dialogue/statement.json" | shows "clause 6" as meridian publish alliance/packages -

say "why: what was decided about the bare indicator, and by which clause"
as aldergate explain indicator--0a11a7ce-0001-4000-8000-000000000009

say "the embargo is over, and the CERT warns the public"
wait_for $embargo
shows "1 published" as cert publish warnings/warnings finding.json
say "that is all"
