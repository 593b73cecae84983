package protocol

// The prose of the templates. What stands here is an example of terms that work,
// for people to change; {{first}} and {{last}} are handles of parties.

const allianceBasis = `    Legitimate interest of the parties in the security of networks and information
    systems. Name the law and the memorandum that the parties rest on.
`

const allianceTerms = `# Topics are the channels of the agreement. An object without a marking gets the
# topic's default; without a default such an object is refused.
topics:
  - name: indicators
    description: What to look for and what to block.
    default-marking: TLP:AMBER
  - name: incidents
    description: What happened to single organisations.
    default-marking: TLP:AMBER+STRICT
# Clauses are what the engine enforces. Nothing flows that no clause permits, and a
# clause that forbids beats all that permit. A refusal cites the number and the text.
#
#   from, to      who gives, who gets: parties: [handle], kinds: [cert], countries: [NL],
#                 roles: [reader]; all that is given must hold; left out: every party
#   topics        left out: all topics of this agreement
#   types         STIX types, such as indicator or malware; left out: all
#   markings      a list of TLP labels, or max-marking: the highest one
#   from-date, until-date   left out: as long as the agreement
clauses:
  - number: "1"
    text: Every party shares what it knows of attacks with all the others.
    effect: permit
    topics: [indicators]
    max-marking: TLP:AMBER
  - number: "2"
    text: Incidents have a topic of their own and are not told on that of indicators.
    effect: forbid
    topics: [indicators]
    types: [incident]
  - number: "3"
    text: |
      Incidents are shared among all the parties, up to TLP:AMBER+STRICT.
      Recipients keep them within their own organisation.
    effect: permit
    topics: [incidents]
    max-marking: TLP:AMBER+STRICT
`

const exchangeBasis = `    Data exchange agreement between the two parties. Name the treaty, law or
    contract, and the purpose for which the data may be used.
`

const exchangeTerms = `# Topics are the channels of the agreement. An object without a marking gets the
# topic's default; without a default such an object is refused.
topics:
  - name: requests
    description: Questions, with the context that is needed to answer them.
    default-marking: TLP:AMBER+STRICT
  - name: answers
    description: What the asked party found.
    default-marking: TLP:AMBER+STRICT
# Clauses are what the engine enforces. Nothing flows that no clause permits, and a
# clause that forbids beats all that permit. A refusal cites the number and the text.
# "from" says who gives and "to" who gets, by parties, kinds, countries or roles; left
# out: both. Who gives reads its own topic too: receipts come back on it. Topics, types
# and markings narrow a clause further, from-date and until-date too.
clauses:
  - number: "1"
    text: The first party asks.
    effect: permit
    from:
      parties: [{{first}}]
    topics: [requests]
    max-marking: TLP:AMBER+STRICT
  - number: "2"
    text: The other party answers.
    effect: permit
    from:
      parties: [{{last}}]
    topics: [answers]
    max-marking: TLP:AMBER+STRICT
`

const feedBasis = `    The publishers' own interest, or duty, to warn the public. Name the law if
    there is one.
`

const feedTerms = `# Topics are the channels of the agreement. Only TLP:CLEAR passes on them.
topics:
  - name: warnings
    description: Confirmed, and released for everybody.
    default-marking: TLP:CLEAR
# Clauses are what the engine enforces. Nothing flows that no clause permits, and a
# clause that forbids beats all that permit. A refusal cites the number and the text.
# "to: public" means readers who are no party: what they are permitted the parties are
# permitted too, what they are forbidden they alone are. A clause without "to" means
# parties, so what is never to be told in public says "to: public".
clauses:
  - number: "1"
    text: The parties warn the public.
    effect: permit
    to:
      public: true
    topics: [warnings]
    markings: [TLP:CLEAR]
  - number: "2"
    text: Incidents and accounts of persons are never told in public.
    effect: forbid
    to:
      public: true
    types: [incident, user-account]
`
