"""The time of a training step beside the same network in plain linen and in torch, in one run, by turns."""
