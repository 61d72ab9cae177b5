# Salles : rejoindre, et l’écran.

join-title = Saisissez le code affiché à l’écran
join-label = Code
join-hint = Lettres et chiffres ; majuscules, espaces et tirets sont sans importance.
join-button = Rejoindre
join-not-found = Introuvable.
join-no-account = Aucun compte n’est nécessaire pour voter ici.
