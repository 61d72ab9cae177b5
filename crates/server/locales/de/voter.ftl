# Seiten für Wählende: Stimmzettel, Prüfen, Beleg, Warten, Ergebnis, Protokoll.

warn-open = Die Abstimmung ist wieder offen.
warn-paused = Die Abstimmung ist unterbrochen. Ihre Stimme wurde nicht abgegeben.
warn-closed = Die Abstimmung ist geschlossen. Haben Sie Ihre Stimme noch nicht abgegeben, so zählt sie nicht.
marked-js = {"{"}n{"}"} von {"{"}max{"}"} angekreuzt.
marked-all-js = {"{"}n{"}"} von {"{"}max{"}"} angekreuzt. Nehmen Sie ein Kreuz weg, um ein anderes zu setzen.
sending = Ihre Stimme wird abgegeben …
not-sent = Keine Verbindung: Noch ist nicht bekannt, ob Ihre Stimme abgegeben wurde. Drücken Sie noch einmal; sie zählt nicht doppelt.

secrecy-open = Dies ist eine offene Abstimmung: Stimmzettel werden mit dem Ergebnis unter Codes veröffentlicht, und wer sie durchführt, kann sie sehen.
secrecy-receipt = Wer diesen Code oder die Belegdatei sieht, kann Ihren Stimmzettel im veröffentlichten Protokoll finden.
contest-of = Frage { $n } von { $count }
