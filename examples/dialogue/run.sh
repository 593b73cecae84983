#!/bin/sh
# A state's tech envoy and two platforms: statements, a request with a day, answers.
# See README.md; isolation.sh shows that nothing of it gets out.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
all="envoy meridian lumen"
statement=note--0d1a1060-0001-4000-8000-000000000001
request=note--0d1a1060-0002-4000-8000-000000000001
answer=report--0d1a1060-0003-4000-8000-000000000004

say "what the agreement answers, before anybody signs it"
"$entente" agreements test --coverage "$here/dialogue.yaml"

say "three members, each with its keys and its node; the envoy invites the platforms"
member envoy "Tech Envoy of the Republic"
member meridian "Meridian Platforms"
member lumen "Lumen Social"
up $all
invite envoy meridian lumen

say "the envoy writes the agreement with the terms of the example, and all three sign"
echo "(with dates of today)"
as envoy agreements new dialogue --template "$here/dialogue.yaml" -o draft.yaml --party envoy --party meridian --party lumen 2>/dev/null
dates <draft.yaml >dialogue.v1.yaml
as envoy agreements propose dialogue.v1.yaml
for member in meridian lumen; do
	until_ok as $member agreements show dialogue
	as $member agreements accept dialogue --yes >/dev/null 2>&1
done
in_force dialogue $all
connected meridian envoy lumen

say "the envoy says what it thinks, and asks"
own envoy "$here/statement.json" | as envoy publish dialogue/statements -
own envoy "$here/request.json" | as envoy publish dialogue/requests -
until_ok as meridian --purpose policy-making get $request
as meridian --purpose policy-making get $request

say "a statement is read to make policy, and for nothing else"
until_ok as lumen --purpose policy-making get $statement
refused 5 lumen --purpose network-defence get $statement
refused 5 lumen get $statement

say "Meridian answers: an opinion, a note, both in a grouping, and all as a report"
own meridian "$here/answer.json" | shows "4 published" as meridian publish dialogue/answers -
for member in envoy lumen; do until_ok as $member --purpose policy-making get $answer; done
as envoy --purpose policy-making search --topic dialogue/answers

say "nothing operational gets in by mistake, nothing without the label, nothing on belief"
own meridian "$here/astray.json" | shows "0 published" as meridian publish dialogue/statements -
own lumen "$here/statement.json" | grep -v entente-class | sed 's/"labels": \[/"labels": ["x"/' | shows "0 published" as lumen publish dialogue/statements -
own lumen "$here/statement.json" | sed 's/entente-class:policy-dialogue"/&, "entente-class:religious"/' | shows "clause 3" as lumen publish dialogue/statements -

say "the day of the request comes: who has not answered yet?"
as envoy --json --purpose policy-making get $request | sed -n 's/.*"x_answer_by": *"\([^"]*\)".*/hoped for by \1/p'
for platform in meridian lumen; do
	answers=$(as envoy --purpose policy-making search --topic dialogue/answers --from $platform | grep -c "$platform/1" || true)
	echo "$platform: $answers objects"
done
[ "$answers" = 0 ] || fail "Lumen has answered"

say "why does Lumen not see what it reads for another purpose?"
as lumen --purpose network-defence explain $statement
say "that is all"
