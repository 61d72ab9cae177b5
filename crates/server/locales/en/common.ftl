# What all pages say.

skip = Skip to the content
site-nav = Site
not-encrypted = This connection is not encrypted: others on the same network could read along.
enter-code = Enter a code
language = Language
officers = Officers

# States of an election, as on its chip.
state-draft = Not open yet
state-open = Open
state-paused = Paused
state-closing = Closing
state-closed = Closed
state-published = Result published
state-cancelled = Cancelled
state-closes = { $state } · closes { $time }
rehearsal = Rehearsal: nothing here counts
round = Round { $n }

voted =
    { $n ->
        [one] { $n } person has voted
       *[other] { $n } people have voted
    }

# The feed, as the script says it; words in braces are replaced there.
live-now = Live: figures appear by themselves.
live-stale-js = Last update {"{"}seconds{"}"} s ago, trying again.
live-as-of-js = As of vote {"{"}n{"}"}, {"{"}seconds{"}"} s ago.
live-update = Update the figures
live-again = Connected again.
copied = Copied

# Numbers and lists.
votes =
    { $n ->
        [one] { $n } vote
       *[other] { $n } votes
    }
turnout-voters =
    { $n ->
        [one] voter
       *[other] voters
    }
turnout-of = of { $n } voters
list-comma = ,
list-and = { $head } and { $last }

# Outcomes. The English ones stand in the record itself and are not taken from here.
outcome-no-votes = No votes were cast
outcome-winner =
    { $n ->
        [one] The winner is { $name } with { $n } vote
       *[other] The winner is { $name } with { $n } votes
    }
outcome-winners = The winners are { $names }
outcome-tie = It's a tie between { $names }
outcome-tie-seats =
    { $n ->
        [one] { $tie } for the last seat
       *[other] { $tie } for the last { $n } seats
    }
outcome-elected-and-tie =
    { $n ->
        [one] Elected: { $elected }. { $tie } for the last seat
       *[other] Elected: { $elected }. { $tie } for the last { $n } seats
    }
outcome-to-be-drawn = { $tie }, to be drawn by lot
outcome-drawn = { $elected }, drawn by lot from { $names }
outcome-drawn-by-server = { $elected }, drawn by lot by the server from { $names }
outcome-passed = Motion passed: { $yes } of { $base }, needed { $needed }
outcome-failed = Motion failed: { $yes } of { $base }, needed { $needed }
outcome-no-quorum = No quorum: { $cast } votes cast, needed { $needed }

# Rules.
method-plurality =
    { $n ->
        [one] Plurality: the most votes win.
       *[other] Plurality: the { $n } with the most votes win.
    }
method-approval =
    { $n ->
        [one] Approval: mark all you approve of; the most votes win.
       *[other] Approval: mark all you approve of; the { $n } with the most votes win.
    }
method-motion-more-yes-no = Motion: passes with more than { $share } of yes and no votes.
method-motion-least-yes-no = Motion: passes with at least { $share } of yes and no votes.
method-motion-more-cast = Motion: passes with more than { $share } of all ballots.
method-motion-least-cast = Motion: passes with at least { $share } of all ballots.
method-motion-more-eligible = Motion: passes with more than { $share } of everybody on the list.
method-motion-least-eligible = Motion: passes with at least { $share } of everybody on the list.
choose-one = Choose one.
choose-any = Choose as many as you like. Choosing none leaves this contest blank.
choose-up-to = Choose up to { $n }. Choosing none leaves this contest blank.
choose-exactly = Choose { $n }. Choosing none leaves this contest blank.
choose-from-to = Choose { $min } to { $max }. Choosing none leaves this contest blank.
results-live = Counts are shown while voting goes on.
results-own-ballot = Counts are shown to those who have voted, and to everybody when voting is closed.
results-at-close = Counts appear here when voting is closed.
results-on-publish = Counts appear here when the officer publishes the result.
rule-who = Who votes
rule-open = everybody with the address, one ballot a browser session
rule-list =
    { $n ->
        [one] a list of { $n } voter
       *[other] a list of { $n } voters
    }
rule-results = Results
rule-ballots = Ballots a voter
rule-again = Voting again
rule-last-counts = the last ballot counts
rule-closes-after = Closes after
rule-voters =
    { $n ->
        [one] { $n } voter
       *[other] { $n } voters
    }
rule-everybody = everybody on the list
rule-definition = Definition
results-on-reveal = Counts appear here when the officer shows them.
method-rating = Rating: the outcome is the average of all marks.
outcome-rated =
    { $n ->
        [one] Average { $average } of { $highest } from { $n } rating
       *[other] Average { $average } of { $highest } from { $n } ratings
    }
elsewhere = If this server does not answer, go on at
elsewhere-cast = If this server does not answer, send the form to another one; it counts once:
