# Räume: beitreten, und die Leinwand.

join-title = Geben Sie den Code von der Leinwand ein
join-label = Code
join-hint = Buchstaben und Ziffern; Großschreibung, Leerzeichen und Bindestriche sind egal.
join-button = Beitreten
join-not-found = Nicht gefunden.
join-no-account = Zum Abstimmen braucht hier niemand ein Konto.
join-no-room = Es gibt keinen Raum mit diesem Code. Sehen Sie noch einmal auf die Leinwand.
error-prefix = Fehler:
room-nothing = Noch gibt es nichts abzustimmen. Diese Seite zeigt es, sobald es so weit ist.
room-in = Sie sind dabei. Gleich wird abgestimmt.
room-you-voted = Sie haben abgestimmt.
room-not-open = Diese Abstimmung ist nicht offen.
room-moves-on = Die nächste Frage kommt von selbst. Lassen Sie diese Seite einfach offen.
room-go = Zur aktuellen Frage
room-voted = Sie haben abgestimmt
room-vote-now = Jetzt abstimmen
room-vote = Abstimmen
room-receipt = Meine Quittung
room-results = Ergebnis
room-update = Diese Seite aktualisieren
room-alone = Probieren Sie es allein aus?
room-another = Als weitere Person auf diesem Gerät abstimmen
locked-title = Der Raum ist geschlossen
locked-text = Dieser Raum nimmt niemanden mehr auf. Wer vorher da war, stimmt auf demselben Gerät weiter ab. Wenn Sie dazugehören, wenden Sie sich an die Leitung: Diese Seite lässt Sie ein, sobald der Raum wieder offen ist.

screen-dark = Die Leinwand ist dunkel
screen-go-to = Öffnen Sie
screen-and-enter = und geben Sie ein
screen-qr = QR-Code der Adresse zum Mitmachen
screen-closes-in = Endet in
average-of = von { $highest }
embed-full = Ganzes Ergebnis, Regeln und Protokoll
screen-connected =
    { $n ->
        [one] { $n } Gerät verbunden
       *[other] { $n } Geräte verbunden
    }
