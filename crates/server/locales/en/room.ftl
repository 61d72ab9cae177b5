# Rooms: joining, and the projector.

join-title = Enter the code on the screen
join-label = Code
join-hint = Letters and digits; capitals, spaces and hyphens do not matter.
join-button = Join
join-not-found = Not found.
join-no-account = Nobody needs an account to vote here.
# Rooms on a phone.
join-no-room = There is no room with this code. Look at the screen again.
error-prefix = Error:
room-nothing = There is nothing to vote on yet. This page shows it when there is.
room-in = You are in. Voting begins soon.
room-you-voted = You have voted.
room-not-open = Voting on this is not open.
room-moves-on = The next question comes by itself. You can leave this page open.
room-go = Go to the current question
room-voted = You have voted
room-vote-now = Vote now
room-vote = Vote
room-receipt = My receipt
room-results = Results
room-update = Update this page
room-alone = Trying this alone?
room-another = Vote as another person on this device
locked-title = Joining is closed
locked-text = This room takes nobody new. Who joined before goes on voting on the device they joined with. If you should be in, ask the person who leads the room: this page lets you in as soon as joining is open again.

# The projector.
screen-dark = The screen is dark
screen-go-to = Go to
screen-and-enter = and enter
screen-qr = QR code of the address to join
screen-closes-in = Closes in
average-of = of { $highest }
embed-full = Full result, rules and record
screen-connected =
    { $n ->
        [one] { $n } device connected
       *[other] { $n } devices connected
    }
