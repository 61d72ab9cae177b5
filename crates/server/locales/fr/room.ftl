# Salles : rejoindre, et l’écran.

join-title = Saisissez le code affiché à l’écran
join-label = Code
join-hint = Lettres et chiffres ; majuscules, espaces et tirets sont sans importance.
join-button = Rejoindre
join-not-found = Introuvable.
join-no-account = Aucun compte n’est nécessaire pour voter ici.
join-no-room = Aucune salle n’a ce code. Regardez encore l’écran.
error-prefix = Erreur :
room-nothing = Il n’y a encore rien à voter. Cette page l’affichera le moment venu.
room-in = Vous y êtes. Le vote commence bientôt.
room-you-voted = Vous avez voté.
room-not-open = Ce vote n’est pas ouvert.
room-moves-on = La question suivante arrivera d’elle-même. Vous pouvez laisser cette page ouverte.
room-go = Aller à la question en cours
room-voted = Vous avez voté
room-vote-now = Voter maintenant
room-vote = Voter
room-receipt = Mon reçu
room-results = Résultats
room-update = Actualiser cette page
room-alone = Vous essayez sans les autres ?
room-another = Voter comme une autre personne sur cet appareil
locked-title = L’entrée est fermée
locked-text = Cette salle n’accepte plus personne. Les personnes déjà entrées continuent de voter sur le même appareil. Si vous devriez en être, adressez-vous à la personne qui anime la salle : cette page vous fera entrer dès que l’entrée sera rouverte.

screen-dark = L’écran est noir
screen-go-to = Allez sur
screen-and-enter = et saisissez
screen-qr = Code QR de l’adresse pour participer
screen-closes-in = Fin dans
average-of = sur { $highest }
embed-full = Résultat complet, règles et procès-verbal
screen-connected =
    { $n ->
        [one] { $n } appareil connecté
       *[other] { $n } appareils connectés
    }
