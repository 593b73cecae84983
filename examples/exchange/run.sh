#!/bin/sh
# An international police body with two national offices, and one company: from
# nothing to what the agreement promises, and what it does not let happen. See
# README.md.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
all="bureau office-b office-c meridian"
note=note--0e8c4a0e-0001-4000-8000-000000000001
infrastructure=infrastructure--0e8c4a0e-0002-4000-8000-000000000001
right=indicator--0e8c4a0e-0002-4000-8000-000000000011
wrong=indicator--0e8c4a0e-0002-4000-8000-000000000012
account=user-account--fa034d8f-1739-5dc0-ada6-1e6f797372c4
briefing=report--0e8c4a0e-0004-4000-8000-000000000001

say "what the agreement answers, before anybody signs it"
"$entente" agreements test --coverage "$here/exchange.yaml"

say "four members, each with its keys and its node; the Bureau invites the others"
member bureau "Bureau of Police Cooperation, general secretariat"
member office-b "National office of the Bureau in XB"
member office-c "National office of the Bureau in XC"
member meridian "Meridian Platforms"
up $all
invite bureau office-b office-c meridian

say "the Bureau writes the agreement with the terms of the example, and all four sign"
echo "(with dates of today, and a window for briefings that opens in some seconds)"
seconds=$(soon)
window=$(($(date +%s) + seconds + 1)) # a second of reserve
until=$(moment $seconds)
as bureau agreements new exchange --template "$here/exchange.yaml" -o exchange.draft.yaml \
	--party bureau --party office-b --party office-c --party meridian 2>/dev/null
dates <exchange.draft.yaml | sed -e "s/from-date: .*/from-date: $until/" -e "s/until-date: .*/until-date: $(moment 86400)/" >exchange.v1.yaml
as bureau agreements propose exchange.v1.yaml
for member in office-b office-c meridian; do
	until_ok as $member agreements show exchange
	as $member agreements accept exchange --yes >/dev/null 2>&1
done
in_force exchange $all
connected meridian bureau office-b office-c
connected bureau office-b office-c
as meridian agreements list

say "before the window opens nobody is briefed"
own bureau "$here/briefing.json" >briefing.json
shows "0 published" as bureau publish exchange/briefings briefing.json
[ "$(date +%s)" -lt $window ] || fail "this machine was too slow: the window is open before anybody could be early"

say "the Bureau asks; the company's people read the question for the investigation alone"
own bureau "$here/request.json" | as bureau publish exchange/requests -
until_ok as meridian --purpose criminal-investigation get $note
as meridian --purpose criminal-investigation get $note
say "without a purpose, or for another one, they do not"
refused 5 meridian get $note
refused 5 meridian --purpose product-protection get $note
unseen office-b $note

say "the company answers; data about persons do not go where every office reads"
own meridian "$here/answer.json" | shows "4 published, 1 withheld, 1 refused" as meridian publish exchange/answers -
for office in bureau office-b office-c; do
	until_ok as $office --purpose prosecution get $infrastructure
	unseen $office identity--0e8c4a0e-0002-4000-8000-000000000003
done
say "every reader states a purpose, and it is recorded"
as office-c --purpose prosecution search --topic exchange/answers
refused 5 office-c get $infrastructure
shows "prosecution" as office-c audit --object $infrastructure

say "what concerns persons goes to XB, and never to XC"
own meridian "$here/person.json" | as meridian publish exchange/persons -
until_ok as office-b --purpose criminal-investigation get $account
refused 5 office-b --purpose prosecution get $account
unseen office-c $account

say "nothing political, military, religious or racial, and no class that nobody knows"
own meridian "$here/never.json" | shows "0 published, 5 refused" as meridian publish exchange/answers -

say "the Bureau may not pass an answer on to another agreement without asking the company"
as bureau agreements new national -o national.draft.yaml --party bureau --party office-c --kind bureau=law-enforcement --kind office-c=law-enforcement 2>/dev/null
awk '{ print } /^    topics: \[incidents\]/ { print "    conditions: {classes: [criminal]}" }' national.draft.yaml >national.v1.yaml
as bureau agreements propose national.v1.yaml 2>/dev/null >&2
until_ok as office-c agreements show national
as office-c agreements accept national --yes >/dev/null 2>&1
in_force national bureau office-c
as bureau --purpose criminal-investigation get $right >answer.json 2>/dev/null
shows "only when its source has been asked" as bureau publish national/incidents answer.json

say "the company corrects one indicator, takes back another"
own meridian "$here/correction.json" | as meridian publish exchange/answers -
until_ok has "until the fifth" as office-b --purpose prosecution get $right
as meridian retract $wrong
until_ok has '"revoked": true' as bureau --purpose prosecution get $wrong
as bureau --purpose prosecution get $wrong

say "and has the rented servers erased; only the company can"
refused 4 bureau erase --yes $infrastructure
as meridian erase --yes --reason "They belong to somebody else." $infrastructure
until_ok has "nobody is missing" as meridian erase --status
as meridian erase --status
for member in $all; do
	unseen $member $infrastructure
done
for member in meridian office-c; do
	grep -rqa "Three virtual servers" $member/store && fail "$member has the text on its disk"
done
echo "and the text is not on their disks"

say "the window is open: the accredited desks are briefed, and nobody else"
wait_for $window
as bureau publish exchange/briefings briefing.json
until_ok as office-b --purpose criminal-investigation get $briefing
until_ok as meridian --purpose criminal-investigation get $briefing
unseen office-c $briefing

say "why has the office in XC no account?"
as meridian explain --for office-c $account
say "that is all"
