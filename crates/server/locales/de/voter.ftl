# Seiten für Wählende: Stimmzettel, Prüfen, Beleg, Warten, Ergebnis, Protokoll.

warn-open = Die Abstimmung ist wieder offen.
warn-paused = Die Abstimmung ist unterbrochen. Ihre Stimme wurde nicht abgegeben.
warn-closed = Die Abstimmung ist geschlossen. Haben Sie Ihre Stimme noch nicht abgegeben, so zählt sie nicht.
warn-minute = Die Abstimmung schließt in einer Minute.
marked-js = {"{"}n{"}"} von {"{"}max{"}"} angekreuzt.
marked-all-js = {"{"}n{"}"} von {"{"}max{"}"} angekreuzt. Nehmen Sie ein Kreuz weg, um ein anderes zu setzen.
sending = Ihre Stimme wird abgegeben …
not-sent = Keine Verbindung: Noch ist nicht bekannt, ob Ihre Stimme abgegeben wurde. Drücken Sie noch einmal; sie zählt nicht doppelt.
not-known-js = Noch ist nicht bekannt, ob Ihre Stimme aufgezeichnet wurde. Es wird noch einmal gefragt; sie zählt einmal.
not-known-title = Noch wissen wir nicht, ob Ihre Stimme aufgezeichnet wurde
not-known-text = Die Server klären gerade, wer von ihnen führt. Drücken Sie noch einmal: Ihre Stimme zählt einmal, so oft Sie auch drücken.
busy-js = Der Server ist ausgelastet, Ihre Stimme ist noch nicht abgegeben. Neuer Versuch in {"{"}seconds{"}"} s.
mute = Ansagen stummschalten

real-vote = Echte Abstimmung
closes-at = Schließt { $time }
closes-after =
    { $n ->
        [one] Schließt, wenn { $n } Person abgestimmt hat
       *[other] Schließt, wenn { $n } Personen abgestimmt haben
    }
closes-after-all = Schließt, wenn alle auf der Liste abgestimmt haben
time-left = verbleiben
error-title = Fehler: { $title }
record-and-check = Protokoll und Belegprüfung
trying-alone = Sie probieren es allein aus?
vote-as-another = Als andere Person auf diesem Gerät abstimmen

secrecy-open = Dies ist eine offene Abstimmung: Stimmzettel werden mit dem Ergebnis unter Codes veröffentlicht, und wer sie durchführt, kann sie sehen.
contest-of = Frage { $n } von { $count }
next-contest = Weiter
previous-contest = Zurück
check-answers = Antworten prüfen
leave-blank = Leer lassen
new-tab = über { $name }, öffnet einen neuen Tab
rating-low = { $level } = niedrigste Note
rating-high = { $level } = höchste Note
fault-title = Bitte sehen Sie noch einmal hin
fault-not-cast = Ihre Stimme wurde nicht abgegeben.
fault-exactly =
    { $given ->
        [one] Wählen Sie { $max }: { $given } ist angekreuzt.
       *[other] Wählen Sie { $max }: { $given } sind angekreuzt.
    }
fault-up-to =
    { $given ->
        [one] Wählen Sie höchstens { $max }: { $given } ist angekreuzt.
       *[other] Wählen Sie höchstens { $max }: { $given } sind angekreuzt.
    }
fault-from-to =
    { $given ->
        [one] Wählen Sie { $min } bis { $max }: { $given } ist angekreuzt.
       *[other] Wählen Sie { $min } bis { $max }: { $given } sind angekreuzt.
    }
fault-unreadable = Diese Antwort ließ sich nicht lesen. Kreuzen Sie sie noch einmal an.

identify-label = Ihre Kennung
identify-hint = So, wie Sie sie erhalten haben. Wer eine Kennung kennt, kann mit ihr abstimmen; behalten Sie sie für sich.
identify-button = Stimmzettel zeigen
not-on-list = Nicht auf der Liste.
not-on-list-text = Diese Kennung steht nicht auf der Liste. Prüfen Sie sie auf Tippfehler.

review-title = Prüfen Sie Ihre Antworten
nothing-cast-yet = Noch wurde nichts abgegeben.
blank = Leer
nothing-marked = Sie haben hier nichts angekreuzt: Das zählt als leere Stimme.
change = Ändern
cast-my-vote = Stimme abgeben

waiting-draft = Die Abstimmung ist noch nicht eröffnet.
waiting-draft-text = Diese Seite zeigt den Stimmzettel, sobald es so weit ist.
waiting-paused = Die Abstimmung ist unterbrochen.
waiting-paused-text = Ihre Stimme wurde nicht abgegeben. Der Stimmzettel kommt wieder, wenn es weitergeht.
waiting-cancelled = Diese Abstimmung wurde abgesagt.
waiting-cancelled-text = Keine Stimme in ihr zählt.
waiting-closed = Die Abstimmung ist geschlossen.
waiting-locked = Der Zugang ist gesperrt.
waiting-locked-text = Niemand kann mehr dazukommen; wer schon dabei war, stimmt weiter ab. Bitten Sie die Leitung, den Zugang zu öffnen.
closed-at = Geschlossen { $time }
vote-not-cast = Ihre Stimme wurde nicht abgegeben.
vote-not-cast-again = Diese Stimme wurde nicht abgegeben. Die zuvor abgegebene zählt weiterhin.
no-vote-cast-here = Von diesem Browser wurde keine Stimme abgegeben.
look-again = Noch einmal nachsehen
show-results = Ergebnis zeigen
my-receipt = Mein Beleg
current-question = Zur aktuellen Frage

cast-title = Ihre Stimme ist abgegeben
cast-at = Abgegeben { $time }
next-election = Weiter:
receipt-title = Ihr Beleg
receipt-number = Stimmzettel { $n }. Der Code findet ihn im Protokoll; die Belegdatei beweist, dass er angenommen wurde.
receipt-qr = QR-Code der Seite, die diesen Beleg prüft
receipt-download = Beleg herunterladen
receipt-copy = Code kopieren
receipt-print = Drucken
secrecy-receipt = Wer diesen Code oder die Belegdatei sieht, kann Ihren Stimmzettel im veröffentlichten Protokoll finden.
what-happens-next = Wie es weitergeht
voted-of =
    { $n ->
        [one] { $n } von { $max } hat abgestimmt
       *[other] { $n } von { $max } haben abgestimmt
    }
afterwards = Danach
change-my-vote = Meine Stimme ändern
vote-again = Noch einmal abstimmen
change-allowed = Bis zum Schluss können Sie Ihre Stimme ändern: Nur Ihr letzter Stimmzettel zählt.
change-over = Es zählt der Stimmzettel, den Sie zuletzt abgegeben haben.
change-forbidden = Eine abgegebene Stimme lässt sich in dieser Abstimmung nicht ändern.
ballots-of-yours =
    { $n ->
        [one] Sie haben { $n } von { $max } Stimmzetteln abgegeben.
       *[other] Sie haben { $n } von { $max } Stimmzetteln abgegeben.
    }
check-text = Mit dem Code lässt sich nachsehen, ob dieser Stimmzettel im Protokoll steht: von jedem Gerät, jetzt oder später, so oft Sie möchten.
check-my-receipt = Meinen Beleg prüfen

results = Ergebnis
vote = Abstimmen
record = Protokoll
counts-hidden = Die Zahlen sind noch nicht zu sehen.
as-of = Stand nach Stimme { $n }.
column-choice = Möglichkeit
column-level = Note
column-votes = Stimmen
column-share = Anteil
winner = gewonnen
blank-count = Leer:
figure-ballots = gezählte Stimmzettel
figure-weight = Gewicht der Stimmzettel
rounds = Andere Runden
rules = Regeln
check-this-count = Diese Auszählung prüfen
check-this-count-text = Wer will, kann aus dem veröffentlichten Protokoll alles noch einmal auszählen, mit einem Programm, das diesem Server nichts glaubt.
record-definition = Festlegung
record-root = Wurzel

problem-again = Diese Anfrage hat Ihre Stimme nicht abgegeben. Versuchen Sie es in { $seconds } s noch einmal.
problem-not-found = Unter dieser Adresse ist nichts
problem-not-found-text = Vielleicht ist die Adresse vertippt, oder was hier war, gibt es nicht mehr.
problem-no-such-election = Es gibt keine Abstimmung dieses Namens
problem-no-such-election-text = Vielleicht ist die Adresse vertippt; der Code auf der Leinwand führt zu dem, was jetzt offen ist.
problem-no-such-room = Es gibt keinen Raum mit diesem Code
problem-no-such-room-text = Vergleichen Sie den Code mit der Leinwand: Buchstaben und Ziffern, groß oder klein.
problem-method-not-allowed = Diese Adresse ist für Formulare
problem-method-not-allowed-text = Gehen Sie zurück und senden Sie das Formular noch einmal.
problem-forbidden = Dieses Formular kann nicht angenommen werden
problem-forbidden-text = Es ist älter als diese Sitzung oder kam von einer anderen Seite; es ist nichts geschehen. Gehen Sie zurück, laden Sie die Seite neu und senden Sie es noch einmal.
problem-results-hidden = Das ist noch nicht zu sehen
problem-results-hidden-text = Die Ergebnisseite sagt, wann es so weit ist.
problem-key-reused = Dieses Formular wurde schon mit anderen Antworten gesendet
problem-key-reused-text = Der erste Stimmzettel gilt. Öffnen Sie die Abstimmung noch einmal, um seinen Beleg zu sehen.
problem-malformed = Die Anfrage ließ sich nicht lesen
problem-malformed-text = Die Adresse oder das Formular ist beschädigt; es ist nichts geschehen. Fangen Sie noch einmal von vorn an.
problem-timeout = Das Formular brauchte zu lange
problem-timeout-text = Es wurde nichts abgegeben. Gehen Sie zurück und senden Sie es noch einmal.
problem-too-large = Das ist zu groß
problem-too-large-text = Es ist nichts damit geschehen. Senden Sie weniger.
problem-rate-limited = Zu viele Anfragen
problem-rate-limited-text = Von hier kam mehr, als in so kurzer Zeit angenommen wird.
problem-overloaded = Der Server ist voll ausgelastet
problem-overloaded-text = Gleich nimmt er wieder Stimmen an; Ihr Platz geht nicht verloren.
problem-storage-full = Der Server kann gerade nichts mehr speichern
problem-storage-full-text = Stimmen werden wieder angenommen, sobald Platz ist.
problem-no-leader = Im Augenblick führt kein Server
problem-no-leader-text = Die Server bestimmen gerade einen neuen; das dauert ein, zwei Sekunden. Damit wurde Ihre Stimme nicht abgegeben.
problem-stopping = Der Server hält an
problem-stopping-text = In wenigen Sekunden ist er wieder da.
problem-internal = Der Server hat einen Fehler gemacht
problem-internal-text = Er ist vermerkt. Gehen Sie zurück und senden Sie dasselbe Formular noch einmal: Es zählt nicht doppelt.

record-title = Protokoll der Abstimmung
check-a-receipt = Einen Beleg prüfen
checked-here =
    { $n ->
        [one] { $n } von { $max } Stimmzetteln wurde hier geprüft.
       *[other] { $n } von { $max } Stimmzetteln wurden hier geprüft.
    }
checked-here-text = Jeder zählt einmal, sobald jemand unten seinen Code oder seine Belegdatei sendet; das Öffnen eines Links zählt nicht.
code-label = Code auf dem Beleg
code-hint = Zwölf Buchstaben und Ziffern; Großschreibung, Leerzeichen und Bindestriche sind gleich.
find-by-code = Mit dem Code suchen
file-label = Belegdatei
file-hint = Die Datei, die nach der Abstimmung heruntergeladen wurde. Sie beweist mehr als der Code: dass dieser Server den Stimmzettel annahm, was immer er jetzt sagt.
paste-receipt = Stattdessen den Text einfügen
paste-label = Text des Belegs
check-this-receipt = Diesen Beleg prüfen
nothing-to-check = Nichts zu prüfen.
nothing-to-check-text = Geben Sie einen Code ein, wählen Sie eine Belegdatei, oder fügen Sie ihren Text ein.
not-a-code = Das ist kein Code.
not-a-code-text = Ein Code hat zwölf Buchstaben und Ziffern, wie ABCD-EFGH-JKMN.
code-not-found = Nicht gefunden.
code-not-found-text = Unter den neuesten vier Millionen Einträgen hat keiner den Code { $code }. Prüfen Sie ihn auf Tippfehler; mit der Belegdatei findet sich jeder Stimmzettel.
ballot-found = Dieser Stimmzettel steht im Protokoll.
act-found = Das ist eine Handlung der Wahlleitung.
ballot-found-text = Der Code { $code } ist Eintrag { $leaf } von { $size }.
ballot-place = Er ist Eintrag { $leaf } von { $size }.
ballot-says = Auf dem Stimmzettel steht: { $answers }.
not-a-receipt = Das ist kein Beleg.
not-a-receipt-text = Es lässt sich nicht als einer lesen. Wählen Sie die Datei so, wie sie heruntergeladen wurde.
receipt-fits = Dieser Stimmzettel steht im Protokoll.
receipt-does-not-fit = Dieser Beleg passt nicht.
receipt-does-not-fit-text = Bewahren Sie die Datei auf. Ist sie mit dem Schlüssel dieses Servers unterschrieben und fehlt ihr Stimmzettel, so ist sie ein Beweis gegen ihn: Zeigen Sie sie der Wahlleitung und anderen.
check-holds = Stimmt
check-fails = Stimmt nicht
check-here = Er gehört zu dieser Abstimmung.
check-here-meaning = Der Beleg nennt diese Abstimmung und das Verzeichnis, in dem sie steht.
check-definition = Fragen und Regeln sind dieselben.
check-definition-meaning = Der Beleg trägt den Fingerabdruck dessen, was bei der Eröffnung festgelegt wurde; es ist der untenstehende.
check-signed = Dieser Server hat ihn unterschrieben.
check-signed-meaning = Diese Unterschrift kann nur geben, wer den untenstehenden Schlüssel hat, und niemand kann sie zurücknehmen.
check-included = Der Stimmzettel steht unverändert im Protokoll.
check-included-meaning = Aus seinem Fingerabdruck und wenigen anderen folgt der des ganzen Protokolls, die Wurzel unten. Ein einziger geänderter Stimmzettel ergäbe eine andere.
proof-steps = Jeden Schritt des Beweises zeigen
proof-steps-text = Jeder Fingerabdruck wird mit dem vorigen in der Reihenfolge des Baums (RFC 6962) verbunden und mit SHA-256 gehasht. Das kann jeder nachrechnen.
proof-leaf = Fingerabdruck des Stimmzettels
proof-joined = verbunden mit
proof-root = ergibt die Wurzel des Protokolls
on-record = Was im Protokoll steht
on-record-text = Der Server führt eine Liste, der er hinzufügen und aus der er nichts nehmen kann, ohne dass es auffällt. Das sind ihre Fingerabdrücke: Bewahren Sie eine Kopie auf, und vergleichen Sie später.
record-ballots = Stimmzettel
record-leaves = Einträge
record-leaves-text = Stimmzettel und Handlungen der Wahlleitung, in der Reihenfolge ihres Eingangs.
record-definition-text = Fingerabdruck der Fragen und Regeln, bei der Eröffnung festgelegt.
record-root-text = Fingerabdruck aller Einträge bis jetzt.
record-ledger = Verzeichnis
record-epoch = Epoche { $n }. Eine Epoche über 1 heißt, dass eine Sicherung eingespielt oder eine Wiederherstellung erzwungen wurde.
record-key = Schlüssel des Servers
record-key-text = Unterschreibt Belege und Prüfpunkte (Ed25519).
checkpoint = Neuester Prüfpunkt
checkpoint-text = Eine unterschriebene Aussage über Größe und Wurzel. Bewahren Sie eine Kopie auf: Jedes spätere Protokoll muss zu ihr passen.
audit-title = Selbst nachprüfen
audit-text = Laden Sie das Protokoll herunter und prüfen Sie alles noch einmal, mit einem Programm, das diesem Server nichts glaubt:
record-open = Das Protokoll enthält jeden Stimmzettel unter seinem Code.
record-closed = Die Stimmzettel kommen ins Protokoll, sobald die Zahlen zu sehen sind; vorher lässt es sich nicht herunterladen.
download-record = Protokoll herunterladen
definition-line = Die Festlegung, als genau die Zeile, deren Fingerabdruck oben steht
