"""A brain by rules: what can be answered without a language model, in far less than a millisecond.

Every rule is a pure function of a `Question`. `realtime.agent.rules.brain` asks them in order.
"""
