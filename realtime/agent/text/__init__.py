from realtime.agent.text.dictionary import entries


def dictionary_words() -> list[str]:
    return [word for word in entries() if word.isalpha() and 3 <= len(word) <= 12]
