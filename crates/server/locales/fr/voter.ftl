# Pages des votants : bulletin, vérification, reçu, attente, résultats, registre.

warn-open = Le vote est de nouveau ouvert.
warn-paused = Le vote est suspendu. Votre vote n’a pas été enregistré.
warn-closed = Le vote est clos. Si vous n’aviez pas encore voté, votre vote n’a pas été compté.
marked-js = {"{"}n{"}"} sur {"{"}max{"}"} cochés.
marked-all-js = {"{"}n{"}"} sur {"{"}max{"}"} cochés. Décochez-en un pour en cocher un autre.
sending = Envoi de votre vote …
not-sent = Pas de connexion : on ne sait pas encore si votre vote a été enregistré. Appuyez de nouveau ; il ne comptera pas deux fois.

secrecy-open = C’est un vote ouvert : les bulletins sont publiés sous des codes avec le résultat, et l’organisateur peut les voir.
secrecy-receipt = Qui voit ce code ou le fichier du reçu peut retrouver votre bulletin dans le registre publié.
contest-of = Question { $n } sur { $count }
