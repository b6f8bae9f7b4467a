"""Holds the phrase table of the built-in translator: English phrases in other languages, without final punctuation."""

from __future__ import annotations

TARGETS = ("de", "es", "fr")

_TABLE = """
hello | hallo | hola | bonjour
good morning | guten Morgen | buenos días | bonjour
good evening | guten Abend | buenas tardes | bonsoir
good night | gute Nacht | buenas noches | bonne nuit
goodbye | auf Wiedersehen | adiós | au revoir
see you tomorrow | bis morgen | hasta mañana | à demain
welcome | willkommen | bienvenidos | bienvenue
how are you | wie geht es Ihnen | cómo está usted | comment allez-vous
i am fine | mir geht es gut | estoy bien | je vais bien
nice to meet you | freut mich, Sie kennenzulernen | mucho gusto | enchanté de vous rencontrer
yes | ja | sí | oui
no | nein | no | non
maybe | vielleicht | quizás | peut-être
please | bitte | por favor | s'il vous plaît
thank you | danke | gracias | merci
thank you very much | vielen Dank | muchas gracias | merci beaucoup
you are welcome | gern geschehen | de nada | je vous en prie
excuse me | entschuldigen Sie | disculpe | excusez-moi
i am sorry | es tut mir leid | lo siento | je suis désolé
of course | natürlich | por supuesto | bien sûr
no problem | kein Problem | no hay problema | pas de problème
what is your name | wie heißen Sie | cómo se llama usted | comment vous appelez-vous
do you speak english | sprechen Sie Englisch | habla usted inglés | parlez-vous anglais
i do not understand | ich verstehe nicht | no entiendo | je ne comprends pas
can you repeat that | können Sie das wiederholen | puede repetirlo | pouvez-vous répéter
please speak slowly | bitte sprechen Sie langsam | hable despacio, por favor | parlez lentement, s'il vous plaît
can you help me | können Sie mir helfen | puede ayudarme | pouvez-vous m'aider
i need a doctor | ich brauche einen Arzt | necesito un médico | j'ai besoin d'un médecin
where is the station | wo ist der Bahnhof | dónde está la estación | où est la gare
where is the hotel | wo ist das Hotel | dónde está el hotel | où est l'hôtel
where is the toilet | wo ist die Toilette | dónde está el baño | où sont les toilettes
what time is it | wie spät ist es | qué hora es | quelle heure est-il
when does the train leave | wann fährt der Zug ab | cuándo sale el tren | quand part le train
the train is late | der Zug hat Verspätung | el tren llega tarde | le train est en retard
how much does it cost | wie viel kostet das | cuánto cuesta | combien ça coûte
the bill please | die Rechnung bitte | la cuenta, por favor | l'addition, s'il vous plaît
i would like a coffee | ich hätte gern einen Kaffee | quisiera un café | je voudrais un café
i would like some water | ich hätte gern etwas Wasser | quisiera agua | je voudrais de l'eau
a table for two | einen Tisch für zwei | una mesa para dos | une table pour deux
have a nice day | einen schönen Tag noch | que tenga un buen día | bonne journée
have a good trip | gute Reise | buen viaje | bon voyage
one moment please | einen Moment bitte | un momento, por favor | un moment, s'il vous plaît
"""


def _read(table: str) -> dict[str, dict[str, str]]:
    phrases: dict[str, dict[str, str]] = {target: {} for target in TARGETS}
    for line in table.strip().splitlines():
        english, *others = (cell.strip() for cell in line.split("|"))
        for target, phrase in zip(TARGETS, others, strict=True):
            phrases[target][english] = phrase
    return phrases


PHRASES = _read(_TABLE)
"""For each target language, English phrases (in lower case, without apostrophes) and their translations."""
