# Ce que disent toutes les pages.

skip = Aller au contenu
site-nav = Site
not-encrypted = Cette connexion n’est pas chiffrée : d’autres personnes sur le même réseau pourraient la lire.
enter-code = Saisir un code
language = Langue
officers = Bureau de vote

state-draft = Pas encore ouvert
state-open = Ouvert
state-paused = Suspendu
state-closing = En cours de clôture
state-closed = Clos
state-published = Résultat publié
state-cancelled = Annulé
state-closes = { $state } · clôture { $time }
rehearsal = Répétition : rien ici ne compte
round = Tour { $n }

voted =
    { $n ->
        [one] { $n } personne a voté
        [many] { $n } de personnes ont voté
       *[other] { $n } personnes ont voté
    }

live-now = En direct : les chiffres apparaissent d’eux-mêmes.
live-stale-js = Dernière mise à jour il y a {"{"}seconds{"}"} s, nouvel essai en cours.
live-as-of-js = État après le vote {"{"}n{"}"}, il y a {"{"}seconds{"}"} s.
live-update = Mettre les chiffres à jour
live-again = Connexion rétablie.
copied = Copié

votes =
    { $n ->
        [one] { $n } voix
       *[other] { $n } voix
    }
turnout-voters =
    { $n ->
        [one] votant
       *[other] votants
    }
turnout-of = sur { $n } électeurs
list-comma = ,
list-and = { $head } et { $last }

outcome-no-votes = Aucun vote n’a été exprimé
outcome-winner = { $name } l’emporte avec { $n } voix
outcome-winners = L’emportent { $names }
outcome-tie = Égalité entre { $names }
outcome-tie-seats =
    { $n ->
        [one] { $tie } pour le dernier siège
       *[other] { $tie } pour les { $n } derniers sièges
    }
outcome-elected-and-tie =
    { $n ->
        [one] Élus : { $elected }. { $tie } pour le dernier siège
       *[other] Élus : { $elected }. { $tie } pour les { $n } derniers sièges
    }
outcome-to-be-drawn = { $tie } ; le sort décidera
outcome-drawn = { $elected }, par tirage au sort entre { $names }
outcome-drawn-by-server = { $elected }, par tirage au sort du serveur entre { $names }
outcome-passed = Motion adoptée : { $yes } sur { $base }, requis { $needed }
outcome-failed = Motion rejetée : { $yes } sur { $base }, requis { $needed }
outcome-no-quorum = Quorum non atteint : { $cast } votes exprimés, requis { $needed }

method-plurality =
    { $n ->
        [one] Scrutin majoritaire : le plus de voix l’emporte.
       *[other] Scrutin majoritaire : les { $n } ayant le plus de voix l’emportent.
    }
method-approval =
    { $n ->
        [one] Vote par approbation : cochez tout ce que vous approuvez ; le plus de voix l’emporte.
       *[other] Vote par approbation : cochez tout ce que vous approuvez ; les { $n } ayant le plus de voix l’emportent.
    }
method-motion-more-yes-no = Motion : adoptée par plus de { $share } des oui et des non.
method-motion-least-yes-no = Motion : adoptée par au moins { $share } des oui et des non.
method-motion-more-cast = Motion : adoptée par plus de { $share } de tous les bulletins.
method-motion-least-cast = Motion : adoptée par au moins { $share } de tous les bulletins.
method-motion-more-eligible = Motion : adoptée par plus de { $share } de tous les inscrits.
method-motion-least-eligible = Motion : adoptée par au moins { $share } de tous les inscrits.
choose-one = Choisissez une réponse.
choose-any = Choisissez-en autant que vous voulez. Sans choix, cette question reste blanche.
choose-up-to = Choisissez-en jusqu’à { $n }. Sans choix, cette question reste blanche.
choose-exactly = Choisissez-en { $n }. Sans choix, cette question reste blanche.
choose-from-to = Choisissez-en de { $min } à { $max }. Sans choix, cette question reste blanche.
results-live = Les chiffres sont visibles pendant le vote.
results-own-ballot = Les chiffres sont visibles pour qui a voté, et pour tous après la clôture.
results-at-close = Les chiffres apparaissent ici à la clôture du vote.
results-on-publish = Les chiffres apparaissent ici quand le bureau publie le résultat.
rule-who = Qui vote
rule-open = toute personne ayant l’adresse, un bulletin par navigateur
rule-list =
    { $n ->
        [one] une liste de { $n } personne
       *[other] une liste de { $n } personnes
    }
rule-results = Résultats
rule-ballots = Bulletins par personne
rule-again = Voter de nouveau
rule-last-counts = le dernier bulletin compte
rule-closes-after = Clôture après
rule-voters =
    { $n ->
        [one] { $n } votant
       *[other] { $n } votants
    }
rule-everybody = toutes les personnes de la liste
rule-definition = Définition
results-on-reveal = Les chiffres apparaissent ici quand l’animateur les montre.
method-rating = Évaluation : le résultat est la moyenne de toutes les notes.
outcome-rated =
    { $n ->
        [one] Moyenne { $average } sur { $highest } pour { $n } note
       *[other] Moyenne { $average } sur { $highest } pour { $n } notes
    }
elsewhere = Si ce serveur ne répond pas, continuez sur
elsewhere-cast = Si ce serveur ne répond pas, envoyez le formulaire à un autre ; il compte une fois :
