"""Scope: letters and symbols are aligned, and what is learned from words says those words."""

from training.letters import align, aligned, first_costs, learn


def test_each_symbol_belongs_to_a_letter() -> None:
    assert align("box", ["b", "ˈɑ", "k", "s"], first_costs(), 5.0) == ["b", "ˈɑ", "ks"]
    assert align("a", ["b", "c", "d"], first_costs(), 5.0) is None


def test_wider_surroundings_are_kept_only_where_they_say_something_else() -> None:
    short = {word: word.replace("at", "ˈæt") for word in ("lat", "flat", "slat", "mat", "smat", "pat", "spat")}
    long = {word: word.replace("ate", "ˈAt") for word in ("late", "plate", "slate", "mate", "smate", "pate", "spate")}
    rules = learn(aligned(short | long))
    assert rules["T"] == "t"
    assert {rules[key] for key in rules if "A" in key} == {"ˈæ", "ˈA"}
    assert all(len(key) <= 9 for key in rules)
