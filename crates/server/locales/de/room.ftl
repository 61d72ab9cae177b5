# Räume: beitreten, und die Leinwand.

join-title = Geben Sie den Code von der Leinwand ein
join-label = Code
join-hint = Buchstaben und Ziffern; Großschreibung, Leerzeichen und Bindestriche sind egal.
join-button = Beitreten
join-not-found = Nicht gefunden.
join-no-account = Zum Abstimmen braucht hier niemand ein Konto.
