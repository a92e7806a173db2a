"""ResNet and ConvNeXt."""

import importlib

import numpy as np

from tools.golden import weight


def main() -> None:
    """The last grids (``b h w c``) of transformers' ResNetModel, with both kinds of blocks, and ConvNextModel."""
    transformers = importlib.import_module("transformers")
    resnet = transformers.ResNetConfig(num_channels=3, embedding_size=8, hidden_sizes=[32, 64], depths=[2, 2])
    _write("resnet", transformers.ResNetModel(resnet), size=(36, 32))
    basic = transformers.ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"
    )
    _write("resnet_basic", transformers.ResNetModel(basic), size=(21, 32))
    convnext = transformers.ConvNextConfig(num_stages=3, hidden_sizes=[8, 16, 24], depths=[1, 2, 1])
    _write("convnext", transformers.ConvNextModel(convnext), size=(32, 48))


def _write(name: str, model, *, size: tuple[int, int]) -> None:
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    shapes = weight.fill(model)
    pictures = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    with torch.no_grad():
        grid = model(torch.from_numpy(pictures.transpose(0, 3, 1, 2))).last_hidden_state
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    weight.write(name, source=source, shapes=shapes, pictures=pictures, grid=grid.numpy().transpose(0, 2, 3, 1))
