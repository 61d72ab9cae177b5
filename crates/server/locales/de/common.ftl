# Was alle Seiten sagen.

skip = Zum Inhalt springen
site-nav = Seiten
not-encrypted = Diese Verbindung ist nicht verschlüsselt: Andere im selben Netz könnten mitlesen.
enter-code = Code eingeben
language = Sprache
officers = Wahlleitung

state-draft = Noch nicht eröffnet
state-open = Offen
state-paused = Unterbrochen
state-closing = Wird geschlossen
state-closed = Geschlossen
state-published = Ergebnis veröffentlicht
state-cancelled = Abgesagt
state-closes = { $state } · schließt { $time }
rehearsal = Probe: Nichts hier zählt
round = Runde { $n }

voted =
    { $n ->
        [one] { $n } Person hat abgestimmt
       *[other] { $n } Personen haben abgestimmt
    }

live-now = Live: Zahlen erscheinen von selbst.
live-stale-js = Letzter Stand vor {"{"}seconds{"}"} s, neuer Versuch läuft.
live-as-of-js = Stand nach Stimme {"{"}n{"}"}, vor {"{"}seconds{"}"} s.
live-update = Zahlen aktualisieren
live-again = Wieder verbunden.
copied = Kopiert

votes =
    { $n ->
        [one] { $n } Stimme
       *[other] { $n } Stimmen
    }
turnout-voters =
    { $n ->
        [one] Person
       *[other] Personen
    }
turnout-of = von { $n } Stimmberechtigten
list-comma = ,
list-and = { $head } und { $last }

outcome-no-votes = Es wurden keine Stimmen abgegeben
outcome-winner =
    { $n ->
        [one] Gewonnen hat { $name } mit { $n } Stimme
       *[other] Gewonnen hat { $name } mit { $n } Stimmen
    }
outcome-winners = Gewonnen haben { $names }
outcome-tie = Gleichstand zwischen { $names }
outcome-tie-seats =
    { $n ->
        [one] { $tie } um den letzten Sitz
       *[other] { $tie } um die letzten { $n } Sitze
    }
outcome-elected-and-tie =
    { $n ->
        [one] Gewählt: { $elected }. { $tie } um den letzten Sitz
       *[other] Gewählt: { $elected }. { $tie } um die letzten { $n } Sitze
    }
outcome-to-be-drawn = { $tie }; das Los entscheidet
outcome-drawn = { $elected }, durch das Los unter { $names }
outcome-drawn-by-server = { $elected }, durch das Los des Servers unter { $names }
outcome-passed = Antrag angenommen: { $yes } von { $base }, nötig { $needed }
outcome-failed = Antrag abgelehnt: { $yes } von { $base }, nötig { $needed }
outcome-no-quorum =
    { $cast ->
        [one] Nicht beschlussfähig: { $cast } Stimme abgegeben, nötig { $needed }
       *[other] Nicht beschlussfähig: { $cast } Stimmen abgegeben, nötig { $needed }
    }

method-plurality =
    { $n ->
        [one] Mehrheitswahl: Die meisten Stimmen gewinnen.
       *[other] Mehrheitswahl: Die { $n } mit den meisten Stimmen gewinnen.
    }
method-approval =
    { $n ->
        [one] Zustimmungswahl: Kreuzen Sie alle an, denen Sie zustimmen; die meisten Stimmen gewinnen.
       *[other] Zustimmungswahl: Kreuzen Sie alle an, denen Sie zustimmen; die { $n } mit den meisten Stimmen gewinnen.
    }
method-motion-more-yes-no = Antrag: angenommen mit mehr als { $share } der Ja- und Nein-Stimmen.
method-motion-least-yes-no = Antrag: angenommen mit mindestens { $share } der Ja- und Nein-Stimmen.
method-motion-more-cast = Antrag: angenommen mit mehr als { $share } aller Stimmzettel.
method-motion-least-cast = Antrag: angenommen mit mindestens { $share } aller Stimmzettel.
method-motion-more-eligible = Antrag: angenommen mit mehr als { $share } aller auf der Liste.
method-motion-least-eligible = Antrag: angenommen mit mindestens { $share } aller auf der Liste.
choose-one = Wählen Sie eine Möglichkeit.
choose-any = Wählen Sie so viele, wie Sie möchten. Ohne Kreuz bleibt diese Frage leer.
choose-up-to = Wählen Sie bis zu { $n }. Ohne Kreuz bleibt diese Frage leer.
choose-exactly = Wählen Sie { $n }. Ohne Kreuz bleibt diese Frage leer.
choose-from-to = Wählen Sie { $min } bis { $max }. Ohne Kreuz bleibt diese Frage leer.
results-live = Die Zahlen sind während der Abstimmung zu sehen.
results-own-ballot = Die Zahlen sehen alle, die abgestimmt haben, und nach dem Schluss jeder.
results-at-close = Die Zahlen erscheinen hier, sobald die Abstimmung geschlossen ist.
results-on-publish = Die Zahlen erscheinen hier, sobald die Wahlleitung das Ergebnis veröffentlicht.
rule-who = Wer abstimmt
rule-open = alle mit der Adresse, ein Stimmzettel je Browser
rule-list =
    { $n ->
        [one] eine Liste mit { $n } Person
       *[other] eine Liste mit { $n } Personen
    }
rule-results = Ergebnis
rule-ballots = Stimmzettel je Person
rule-again = Noch einmal abstimmen
rule-last-counts = der letzte Stimmzettel zählt
rule-closes-after = Schließt nach
rule-voters =
    { $n ->
        [one] { $n } Person
       *[other] { $n } Personen
    }
rule-everybody = allen auf der Liste
rule-definition = Festlegung
results-on-reveal = Die Zahlen erscheinen hier, sobald die Leitung sie zeigt.
method-rating = Bewertung: Das Ergebnis ist der Durchschnitt aller Noten.
outcome-rated =
    { $n ->
        [one] Durchschnitt { $average } von { $highest } aus { $n } Bewertung
       *[other] Durchschnitt { $average } von { $highest } aus { $n } Bewertungen
    }
elsewhere = Wenn dieser Server nicht antwortet, geht es hier weiter:
elsewhere-cast = Wenn dieser Server nicht antwortet, senden Sie das Formular an einen anderen; es zählt einmal:
