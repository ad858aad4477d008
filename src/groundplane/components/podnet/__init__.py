"""The network between pods as pods see it, whichever network that is: probed from real pods on every node."""
