# Pages des votants : bulletin, vérification, reçu, attente, résultats, registre.

warn-open = Le vote est de nouveau ouvert.
warn-paused = Le vote est suspendu. Votre vote n’a pas été enregistré.
warn-closed = Le vote est clos. Si vous n’aviez pas encore voté, votre vote n’a pas été compté.
warn-minute = Le vote ferme dans une minute.
marked-js = {"{"}n{"}"} sur {"{"}max{"}"} cochés.
marked-all-js = {"{"}n{"}"} sur {"{"}max{"}"} cochés. Décochez-en un pour en cocher un autre.
sending = Envoi de votre vote …
not-sent = Pas de connexion : on ne sait pas encore si votre vote a été enregistré. Appuyez de nouveau ; il ne comptera pas deux fois.
not-known-js = On ne sait pas encore si votre vote a été enregistré. Nouvelle demande en cours ; il compte une fois.
not-known-title = Nous ne savons pas encore si votre vote a été enregistré
not-known-text = Les serveurs sont en train de décider lequel dirige. Appuyez de nouveau : votre vote compte une fois, quel que soit le nombre d’appuis.
busy-js = Le serveur est occupé et votre vote n’est pas encore enregistré. Nouvel essai dans {"{"}seconds{"}"} s.
mute = Couper les annonces

real-vote = Vote réel
closes-at = Clôture { $time }
closes-after =
    { $n ->
        [one] Clôture quand { $n } personne aura voté
        [many] Clôture quand { $n } de personnes auront voté
       *[other] Clôture quand { $n } personnes auront voté
    }
closes-after-all = Clôture quand toutes les personnes de la liste auront voté
time-left = restant
error-title = Erreur : { $title }
record-and-check = Registre et vérification du reçu
trying-alone = Vous essayez seul ?
vote-as-another = Voter comme une autre personne sur cet appareil

secrecy-open = C’est un vote ouvert : les bulletins sont publiés sous des codes avec le résultat, et l’organisateur peut les voir.
contest-of = Question { $n } sur { $count }
next-contest = Suivant
previous-contest = Retour
check-answers = Vérifier mes réponses
leave-blank = Laisser en blanc
new-tab = à propos de { $name }, ouvre un nouvel onglet
rating-low = { $level } = note la plus basse
rating-high = { $level } = note la plus haute
fault-title = Veuillez vérifier
fault-not-cast = Votre vote n’a pas été enregistré.
fault-exactly =
    { $given ->
        [one] Choisissez-en { $max } : { $given } est coché.
       *[other] Choisissez-en { $max } : { $given } sont cochés.
    }
fault-up-to =
    { $given ->
        [one] Choisissez-en jusqu’à { $max } : { $given } est coché.
       *[other] Choisissez-en jusqu’à { $max } : { $given } sont cochés.
    }
fault-from-to =
    { $given ->
        [one] Choisissez-en de { $min } à { $max } : { $given } est coché.
       *[other] Choisissez-en de { $min } à { $max } : { $given } sont cochés.
    }
fault-unreadable = Cette réponse n’a pas pu être lue. Cochez-la de nouveau.

identify-label = Votre identifiant
identify-hint = Tel que vous l’avez reçu. Qui connaît un identifiant peut voter avec ; gardez-le pour vous.
identify-button = Afficher mon bulletin
not-on-list = Absent de la liste.
not-on-list-text = Cet identifiant n’est pas sur la liste. Vérifiez qu’il est bien écrit.

review-title = Vérifiez vos réponses
nothing-cast-yet = Rien n’a encore été enregistré.
blank = Blanc
nothing-marked = Vous n’avez rien coché ici : cela compte comme un vote blanc.
change = Modifier
cast-my-vote = Enregistrer mon vote

waiting-draft = Le vote n’est pas encore ouvert.
waiting-draft-text = Cette page affichera le bulletin dès l’ouverture.
waiting-paused = Le vote est suspendu.
waiting-paused-text = Votre vote n’a pas été enregistré. Le bulletin reviendra à la reprise.
waiting-cancelled = Ce vote a été annulé.
waiting-cancelled-text = Aucun bulletin n’y compte.
waiting-closed = Le vote est clos.
waiting-locked = L’entrée est fermée.
waiting-locked-text = Plus personne ne peut entrer ; les personnes déjà présentes votent encore. Demandez à l’animateur de rouvrir l’entrée.
closed-at = Clos { $time }
vote-not-cast = Votre vote n’a pas été enregistré.
vote-not-cast-again = Ce vote n’a pas été enregistré. Celui que vous aviez donné avant compte toujours.
no-vote-cast-here = Aucun vote n’a été enregistré depuis ce navigateur.
look-again = Regarder de nouveau
show-results = Afficher les résultats
my-receipt = Mon reçu
current-question = Aller à la question en cours

cast-title = Votre vote est enregistré
cast-at = Enregistré { $time }
next-election = Suivant :
receipt-title = Votre reçu
receipt-number = Bulletin { $n }. Le code retrouve votre bulletin dans le registre ; le fichier du reçu prouve qu’il a été accepté.
receipt-qr = Code QR de la page qui vérifie ce reçu
receipt-download = Télécharger le reçu
receipt-copy = Copier le code
receipt-print = Imprimer
secrecy-receipt = Qui voit ce code ou le fichier du reçu peut retrouver votre bulletin dans le registre publié.
what-happens-next = La suite
voted-of =
    { $n ->
        [one] { $n } sur { $max } a voté
       *[other] { $n } sur { $max } ont voté
    }
afterwards = Après le vote
change-my-vote = Modifier mon vote
vote-again = Voter de nouveau
change-allowed = Jusqu’à la clôture, vous pouvez modifier votre vote : seul votre dernier bulletin compte.
change-over = C’est votre dernier bulletin qui compte.
change-forbidden = Un vote enregistré ne peut pas être modifié dans ce scrutin.
ballots-of-yours =
    { $n ->
        [one] Vous avez déposé { $n } bulletin sur { $max }.
       *[other] Vous avez déposé { $n } bulletins sur { $max }.
    }
check-text = Avec le code, chacun peut voir si ce bulletin est dans le registre : depuis tout appareil, maintenant ou plus tard, autant de fois qu’il le veut.
check-my-receipt = Vérifier mon reçu

results = Résultats
vote = Voter
record = Registre
counts-hidden = Les chiffres ne sont pas encore visibles.
as-of = État après le vote { $n }.
column-choice = Choix
column-level = Note
column-votes = Voix
column-share = Part
winner = élu
blank-count = Blancs :
figure-ballots = bulletins comptés
figure-weight = poids des bulletins
rounds = Autres tours
rules = Règles
check-this-count = Vérifier ce décompte
check-this-count-text = Chacun peut refaire tout le décompte à partir du registre publié, avec un programme qui ne fait aucune confiance à ce serveur.
record-definition = Définition
record-root = Racine

problem-again = Cette demande n’a pas enregistré votre vote. Réessayez dans { $seconds } s.
problem-not-found = Il n’y a rien à cette adresse
problem-not-found-text = L’adresse est peut-être mal écrite, ou ce qui s’y trouvait n’existe plus.
problem-no-such-election = Il n’y a pas de vote de ce nom
problem-no-such-election-text = L’adresse est peut-être mal écrite ; le code à l’écran mène à ce qui est ouvert maintenant.
problem-no-such-room = Il n’y a pas de salle avec ce code
problem-no-such-room-text = Vérifiez le code à l’écran : lettres et chiffres, majuscules ou minuscules.
problem-method-not-allowed = Cette adresse est réservée aux formulaires
problem-method-not-allowed-text = Revenez en arrière et renvoyez le formulaire.
problem-forbidden = Ce formulaire ne peut pas être accepté
problem-forbidden-text = Il est plus ancien que cette session ou vient d’un autre site ; rien n’a été fait. Revenez en arrière, rechargez la page et renvoyez-le.
problem-results-hidden = Ce n’est pas encore visible
problem-results-hidden-text = La page des résultats dit quand ce le sera.
problem-key-reused = Ce formulaire a déjà été envoyé avec d’autres réponses
problem-key-reused-text = Le premier bulletin reste valable. Rouvrez le vote pour voir son reçu.
problem-malformed = La demande n’a pas pu être lue
problem-malformed-text = L’adresse ou le formulaire est abîmé ; rien n’a été fait. Recommencez depuis le début.
problem-timeout = Le formulaire a mis trop de temps à arriver
problem-timeout-text = Rien n’a été enregistré. Revenez en arrière et renvoyez-le.
problem-too-large = C’est trop volumineux
problem-too-large-text = Rien n’en a été fait. Envoyez-en moins.
problem-rate-limited = Trop de demandes
problem-rate-limited-text = Il en est venu d’ici plus qu’il n’en est accepté en si peu de temps.
problem-overloaded = Le serveur a autant de travail qu’il peut en tenir
problem-overloaded-text = Il reprend les votes dans un instant ; votre place n’est pas perdue.
problem-storage-full = Le serveur ne peut plus rien stocker pour le moment
problem-storage-full-text = Les votes reprendront dès qu’il y aura de la place.
problem-no-leader = Aucun serveur ne dirige pour le moment
problem-no-leader-text = Les serveurs en choisissent un nouveau ; cela prend une ou deux secondes. Votre vote n’a pas été enregistré par cet envoi.
problem-stopping = Le serveur s’arrête
problem-stopping-text = Il revient dans quelques secondes.
problem-internal = Le serveur a fait une erreur
problem-internal-text = Elle est consignée. Revenez en arrière et renvoyez le même formulaire : il ne comptera pas deux fois.

record-title = Registre du vote
check-a-receipt = Vérifier un reçu
checked-here =
    { $n ->
        [one] { $n } bulletin sur { $max } a été vérifié ici.
       *[other] { $n } bulletins sur { $max } ont été vérifiés ici.
    }
checked-here-text = Chacun compte une fois, quand quelqu’un envoie ci-dessous son code ou le fichier de son reçu ; ouvrir un lien ne compte pas.
code-label = Code du reçu
code-hint = Douze lettres et chiffres ; majuscules, espaces et tirets n’ont pas d’importance.
find-by-code = Chercher par code
file-label = Fichier du reçu
file-hint = Le fichier téléchargé après le vote. Il prouve plus que le code : que ce serveur a accepté le bulletin, quoi qu’il dise maintenant.
paste-receipt = Coller plutôt son texte
paste-label = Texte du reçu
check-this-receipt = Vérifier ce reçu
nothing-to-check = Rien à vérifier.
nothing-to-check-text = Tapez un code, choisissez un fichier de reçu ou collez son texte.
not-a-code = Ce n’est pas un code.
not-a-code-text = Un code a douze lettres et chiffres, comme ABCD-EFGH-JKMN.
code-not-found = Introuvable.
code-not-found-text = Parmi les quatre millions d’entrées les plus récentes, aucune n’a le code { $code }. Vérifiez qu’il est bien écrit ; avec le fichier du reçu, tout bulletin se retrouve.
ballot-found = Ce bulletin est au registre.
act-found = C’est un acte du bureau.
ballot-found-text = Le code { $code } est l’entrée { $leaf } sur { $size }.
ballot-place = C’est l’entrée { $leaf } sur { $size }.
ballot-says = Le bulletin dit : { $answers }.
not-a-receipt = Ce n’est pas un reçu.
not-a-receipt-text = Il ne peut pas être lu comme tel. Choisissez le fichier tel qu’il a été téléchargé.
receipt-fits = Ce bulletin est au registre.
receipt-does-not-fit = Ce reçu ne correspond pas.
receipt-does-not-fit-text = Gardez le fichier. S’il est signé avec la clé de ce serveur et que son bulletin manque, c’est une preuve contre lui : montrez-le au bureau, et à d’autres.
check-holds = Vrai
check-fails = Faux
check-here = Il est de ce vote.
check-here-meaning = Le reçu nomme ce vote et le grand livre qui le contient.
check-definition = Les questions et les règles sont les mêmes.
check-definition-meaning = Le reçu porte l’empreinte de ce qui a été fixé à l’ouverture ; c’est celle ci-dessous.
check-signed = Ce serveur l’a signé.
check-signed-meaning = Seul le détenteur de la clé ci-dessous peut faire cette signature, et personne ne peut la reprendre.
check-included = Le bulletin est au registre, inchangé.
check-included-meaning = De son empreinte et de quelques autres découle celle de tout le registre, la racine ci-dessous. Un seul bulletin changé en donnerait une autre.
proof-steps = Montrer chaque étape de la preuve
proof-steps-text = Chaque empreinte est jointe à la précédente dans l’ordre de l’arbre (RFC 6962), puis hachée avec SHA-256. Chacun peut le refaire.
proof-leaf = Empreinte du bulletin
proof-joined = jointe à
proof-root = donne la racine du registre
on-record = Ce qui est au registre
on-record-text = Le serveur tient une liste à laquelle il peut ajouter et dont il ne peut rien retirer sans que cela se voie. Voici ses empreintes : gardez-en une copie et comparez plus tard.
record-ballots = Bulletins
record-leaves = Entrées
record-leaves-text = Bulletins et actes du bureau, dans l’ordre de leur arrivée.
record-definition-text = Empreinte des questions et des règles, fixées à l’ouverture.
record-root-text = Empreinte de toutes les entrées jusqu’à maintenant.
record-ledger = Grand livre
record-epoch = Époque { $n }. Une époque supérieure à 1 signifie qu’une sauvegarde a été restaurée ou une récupération forcée.
record-key = Clé du serveur
record-key-text = Signe les reçus et les points de contrôle (Ed25519).
checkpoint = Dernier point de contrôle
checkpoint-text = Une déclaration signée de la taille et de la racine. Gardez-en une copie : tout registre ultérieur doit s’y accorder.
audit-title = Vérifiez vous-même
audit-text = Téléchargez le registre et vérifiez-le en entier avec un programme qui ne fait aucune confiance à ce serveur :
record-open = Le registre contient chaque bulletin sous son code.
record-closed = Les bulletins s’ajoutent au registre quand les chiffres sont visibles ; avant, il ne peut pas être téléchargé.
download-record = Télécharger le registre
definition-line = La définition, la ligne exacte dont l’empreinte figure ci-dessus
