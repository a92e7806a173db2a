"""Recurrent networks."""

import importlib

import numpy as np

from tools.golden import weight

LENGTHS = (7, 4, 1)


def main() -> None:
    """What torch.nn.RNN, LSTM and GRU give of rows of several lengths: two layers, both ways, ``b n 2d``."""
    torch = importlib.import_module("torch")
    inputs = np.random.default_rng(0).normal(size=(len(LENGTHS), max(LENGTHS), 5)).astype(np.float32)
    for name in ("RNN", "LSTM", "GRU"):
        model = getattr(torch.nn, name)(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        shapes = weight.fill(model)
        packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(inputs), LENGTHS, batch_first=True)
        with torch.no_grad():
            outputs, lengths = torch.nn.utils.rnn.pad_packed_sequence(model(packed)[0], batch_first=True)
        source = f"torch {torch.__version__}"
        weight.write(
            name.lower(), source=source, shapes=shapes, inputs=inputs, lengths=lengths.numpy(), outputs=outputs.numpy()
        )
