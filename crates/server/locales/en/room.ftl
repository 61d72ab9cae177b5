# Rooms: joining, and the projector.

join-title = Enter the code on the screen
join-label = Code
join-hint = Letters and digits; capitals, spaces and hyphens do not matter.
join-button = Join
join-not-found = Not found.
join-no-account = Nobody needs an account to vote here.
