"""Training of the toxicity model that `bot/scoring` ships: data, noise, network, recipe. Needs the extra `train`."""
