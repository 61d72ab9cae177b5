# Voters' pages: ballot, review, receipt, waiting, results, record.

# The script's words while a ballot is filled in and sent, and while somebody waits.
warn-open = Voting is open again.
warn-paused = Voting is paused. Your vote has not been cast.
warn-closed = Voting has closed. If you have not cast your vote, it was not counted.
warn-minute = Voting closes in one minute.
marked-js = {"{"}n{"}"} of {"{"}max{"}"} marked.
marked-all-js = {"{"}n{"}"} of {"{"}max{"}"} marked. Take one away to mark another.
sending = Casting your vote …
not-sent = No connection: it is not known yet whether your vote was cast. Press the button again; it will not count twice.
not-known-js = It is not known yet whether your vote was recorded. Asking again; it counts once.
not-known-title = We do not know yet whether your vote was recorded
not-known-text = The servers are just sorting out who leads. Press the button again: your vote counts once, however often you press.
busy-js = The server is busy, and your vote is not cast yet. Trying again in {"{"}seconds{"}"} s.
mute = Mute announcements

# The top of a page.
real-vote = Real vote
closes-at = Closes { $time }
closes-after =
    { $n ->
        [one] Closes when { $n } person has voted
       *[other] Closes when { $n } people have voted
    }
closes-after-all = Closes when everybody on the list has voted
time-left = left
error-title = Error: { $title }
record-and-check = Record and receipt check
trying-alone = Trying this alone?
vote-as-another = Vote as another person on this device

# The ballot.
secrecy-open = This is an open vote: ballots are published under codes with the result, and whoever runs it can see them.
contest-of = Contest { $n } of { $count }
next-contest = Next
previous-contest = Back
check-answers = Check my answers
leave-blank = Leave this blank
new-tab = about { $name }, opens a new tab
rating-low = { $level } = lowest
rating-high = { $level } = highest
fault-title = Please look again
fault-not-cast = Your vote has not been cast.
fault-exactly =
    { $given ->
        [one] Choose { $max }: { $given } is marked.
       *[other] Choose { $max }: { $given } are marked.
    }
fault-up-to =
    { $given ->
        [one] Choose up to { $max }: { $given } is marked.
       *[other] Choose up to { $max }: { $given } are marked.
    }
fault-from-to =
    { $given ->
        [one] Choose { $min } to { $max }: { $given } is marked.
       *[other] Choose { $min } to { $max }: { $given } are marked.
    }
fault-unreadable = This answer could not be read. Mark it again.

# Who somebody is.
identify-label = Your voter id
identify-hint = As you were given it. Whoever knows an id can vote with it, so keep it to yourself.
identify-button = Show my ballot
not-on-list = Not on the list.
not-on-list-text = There is no such id on the list. Check it for typing mistakes.

# The review.
review-title = Check your answers
nothing-cast-yet = Nothing has been cast yet.
blank = Blank
nothing-marked = You have marked nothing here: this counts as blank.
change = Change
cast-my-vote = Cast my vote

# Waiting without a ballot.
waiting-draft = Voting has not opened yet.
waiting-draft-text = This page shows the ballot when it does.
waiting-paused = Voting is paused.
waiting-paused-text = Your vote has not been cast. The ballot comes back when voting goes on.
waiting-cancelled = This election was cancelled.
waiting-cancelled-text = No vote in it counts.
waiting-closed = Voting has closed.
waiting-locked = Joining is locked.
waiting-locked-text = Nobody can join any more; who joined before still votes. Ask whoever leads the room to unlock it.
closed-at = Closed { $time }
vote-not-cast = Your vote was not cast.
vote-not-cast-again = This vote was not cast. The one you cast before still counts.
no-vote-cast-here = No vote was cast from this browser.
look-again = Look again
show-results = Show results
my-receipt = My receipt
current-question = Go to the current question

# Your vote is cast.
cast-title = Your vote is cast
cast-at = Cast { $time }
next-election = Next:
receipt-title = Your receipt
receipt-number = Ballot { $n }. The code finds your ballot in the record; the receipt file proves that it was taken.
receipt-qr = QR code of the page that checks this receipt
receipt-download = Download the receipt
receipt-copy = Copy the code
receipt-print = Print it
secrecy-receipt = Who sees this code or the receipt file can find your ballot in the published record.
what-happens-next = What happens next
voted-of =
    { $n ->
        [one] { $n } of { $max } has voted
       *[other] { $n } of { $max } have voted
    }
afterwards = Afterwards
change-my-vote = Change my vote
vote-again = Vote again
change-allowed = Until voting closes you can change your vote: only your last ballot counts.
change-over = The last ballot you cast is the one that counts.
change-forbidden = A vote that is cast cannot be changed in this election.
ballots-of-yours =
    { $n ->
        [one] You have cast { $n } of { $max } ballots.
       *[other] You have cast { $n } of { $max } ballots.
    }
check-text = Anybody with the code can look whether this ballot is in the record: from any device, now or later, as often as they like.
check-my-receipt = Check my receipt

# Results.
results = Results
vote = Vote
record = Record
counts-hidden = Counts are not shown yet.
as-of = As of vote { $n }.
column-choice = Choice
column-level = Mark
column-votes = Votes
column-share = Share
winner = winner
blank-count = Blank:
figure-ballots = ballots that count
figure-weight = weight of the ballots
rounds = Other rounds
rules = Rules
check-this-count = Check this count
check-this-count-text = The whole count can be done again from the published record by anybody, with a program that trusts nothing of this server.
record-definition = Definition
record-root = Root

# Addresses that do not lead on.
problem-again = Your vote was not cast by this request. Try again in { $seconds } s.
problem-not-found = There is nothing at this address
problem-not-found-text = The address may be mistyped, or what was here is gone.
problem-no-such-election = There is no election of this name
problem-no-such-election-text = The address may be mistyped; the code on the screen leads to what is open now.
problem-no-such-room = There is no room with this code
problem-no-such-room-text = Check the code on the screen: letters and digits, capitals do not matter.
problem-method-not-allowed = This address is for forms
problem-method-not-allowed-text = Go back and send the form again.
problem-forbidden = This form cannot be taken
problem-forbidden-text = It is older than this session, or was sent from another site, and nothing was done. Go back, reload the page and send it again.
problem-results-hidden = This is not shown yet
problem-results-hidden-text = The results page says when it will be.
problem-key-reused = This form was sent before with other answers
problem-key-reused-text = The first ballot stands. Open the ballot again to see its receipt.
problem-malformed = The request could not be read
problem-malformed-text = The address or the form is damaged, and nothing was done. Begin again from the start.
problem-timeout = The form took too long to arrive
problem-timeout-text = Nothing was cast. Go back and send it again.
problem-too-large = This is too large
problem-too-large-text = Nothing was done with it. Send less.
problem-rate-limited = Too many requests
problem-rate-limited-text = More came from here than is taken in so short a time.
problem-overloaded = The server has as much work as it can hold
problem-overloaded-text = It takes votes again in a moment; your place is not lost.
problem-storage-full = The server cannot store more at the moment
problem-storage-full-text = Votes are taken again when there is space.
problem-no-leader = No server leads at the moment
problem-no-leader-text = The servers are choosing a new one; it takes a second or two. Your vote was not cast by this.
problem-stopping = The server is stopping
problem-stopping-text = It comes back in a few seconds.
problem-internal = The server made a mistake
problem-internal-text = It is logged. Go back and send the same form again: it will not count twice.

# The record.
record-title = Record of the election
check-a-receipt = Check a receipt
checked-here =
    { $n ->
        [one] { $n } of { $max } ballots has been checked here.
       *[other] { $n } of { $max } ballots have been checked here.
    }
checked-here-text = A ballot counts once, when somebody sends its code or its receipt file below; opening a link does not count.
code-label = Code on the receipt
code-hint = Twelve letters and digits; capitals, spaces and hyphens do not matter.
find-by-code = Find by code
file-label = Receipt file
file-hint = The file that was downloaded after the vote. It proves more than the code: that this server took the ballot, whatever it says now.
paste-receipt = Paste its text instead
paste-label = Text of the receipt
check-this-receipt = Check this receipt
nothing-to-check = Nothing to check.
nothing-to-check-text = Type a code, choose a receipt file, or paste its text.
not-a-code = This is not a code.
not-a-code-text = A code has twelve letters and digits, like ABCD-EFGH-JKMN.
code-not-found = Not found.
code-not-found-text = Nothing among the newest four million entries has the code { $code }. Check it for typing mistakes; with the receipt file every ballot is found.
ballot-found = This ballot is on record.
act-found = This is an officer’s act.
ballot-found-text = The code { $code } is entry { $leaf } of { $size }.
ballot-place = It is entry { $leaf } of { $size }.
ballot-says = The ballot says: { $answers }.
not-a-receipt = This is not a receipt.
not-a-receipt-text = It cannot be read as one. Choose the file as it was downloaded, unchanged.
receipt-fits = This ballot is on record.
receipt-does-not-fit = This receipt does not fit.
receipt-does-not-fit-text = Keep the file. If it is signed with this server’s key and its ballot is missing, it is evidence against the server: show it to whoever runs the vote, and to others.
check-holds = Holds
check-fails = Fails
check-here = It is of this election.
check-here-meaning = The receipt names this election and the ledger it is kept in.
check-definition = Contests and rules are the same.
check-definition-meaning = The receipt carries the fingerprint of what was frozen when voting opened; it is the one below.
check-signed = This server signed it.
check-signed-meaning = Only the holder of the server key below can make this signature, and nobody can take it back.
check-included = The ballot is in the record, unchanged.
check-included-meaning = From its fingerprint and a few others follows the fingerprint of the whole record, the root below. One changed ballot would give another root.
proof-steps = Show each step of the proof
proof-steps-text = Each fingerprint is joined with the one before, in the order of the tree (RFC 6962), and hashed with SHA-256. Anybody can do it again.
proof-leaf = Fingerprint of the ballot
proof-joined = joined with
proof-root = gives the root of the record
on-record = What is on record
on-record-text = The server keeps a list to which it can add and from which it cannot take without showing it. These are its fingerprints: keep a copy, and compare it later.
record-ballots = Ballots
record-leaves = Entries
record-leaves-text = Ballots and officers’ acts, in the order in which they came.
record-definition-text = Fingerprint of contests and rules, frozen when voting opened.
record-root-text = Fingerprint of all entries up to now.
record-ledger = Ledger
record-epoch = Epoch { $n }. An epoch above 1 means that a backup was restored or a recovery forced.
record-key = Server key
record-key-text = Signs receipts and checkpoints (Ed25519).
checkpoint = Newest checkpoint
checkpoint-text = A signed statement of size and root. Keep a copy: every later record must agree with it.
audit-title = Audit it yourself
audit-text = Download the record and check all of it again with a program that trusts nothing of this server:
record-open = The record holds every ballot under its code.
record-closed = Ballots are added to the record when the counts may be seen; before that it cannot be downloaded.
download-record = Download the record
definition-line = The definition, as the exact line whose fingerprint stands above
