"""Lets sessions in, and carries out the effects of each on its wire."""
