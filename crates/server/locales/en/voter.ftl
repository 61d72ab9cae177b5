# Voters' pages: ballot, review, receipt, waiting, results, record.

# The script's words while a ballot is filled in and sent.
warn-open = Voting is open again.
warn-paused = Voting is paused. Your vote has not been cast.
warn-closed = Voting has closed. If you have not cast your vote, it was not counted.
marked-js = {"{"}n{"}"} of {"{"}max{"}"} marked.
marked-all-js = {"{"}n{"}"} of {"{"}max{"}"} marked. Take one away to mark another.
sending = Casting your vote …
not-sent = No connection: it is not known yet whether your vote was cast. Press the button again; it will not count twice.

secrecy-open = This is an open vote: ballots are published under codes with the result, and whoever runs it can see them.
secrecy-receipt = Who sees this code or the receipt file can find your ballot in the published record.
contest-of = Contest { $n } of { $count }
