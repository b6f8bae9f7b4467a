"""Scope: what `/metrics` says, read with Prometheus's own parser."""

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """One reading."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.kinds = {family.name: family.type for family in families}
        self.told = {family.name: family.documentation for family in families}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Of one series; 0.0 for one that is not there, as a sum over series has it."""
        return self._values.get((name, frozenset(labels.items())), 0.0)

    def has(self, name: str) -> bool:
        """Whether there is any series of this name."""
        return any(found == name for found, _ in self._values)

    def labels(self) -> dict[str, set[str]]:
        """All values of each label, buckets left out."""
        found: dict[str, set[str]] = {}
        for _, pairs in self._values:
            for label, value in pairs:
                if label != "le":
                    found.setdefault(label, set()).add(value)
        return found
