"""AV-MNIST: written digits of which little is left, and the same digits spoken in noise.

    python ../shared/data/make_av_mnist.py ../shared/data/av_digits av_mnist.npz train val

makes the arrays (34 s), after the benchmark of CentralNet (Vielzeuf et al., 2018, https://arxiv.org/abs/1808.07275).
"""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms, views
from mmjax.train import AdamW, Evaluator, Optim, Run

# The spectrograms stand bands first. A band means something else than its neighbour, so bands are channels.
INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Sensor(channels_first=True)}


def part(split: str, **options) -> datasets.Arrays:
    """One split of the arrays."""
    return datasets.Arrays("av_mnist.npz", prefix=f"{split}_", inputs=INPUTS, label="label", **options)


def config() -> Experiment:
    """Each modality alone is weak; they err independently, so two are far better than one.

    Of what errs independently a product of experts is the best that can be made, and an encoder that learns alone
    tells more than one that learns beside another: so each has its own loss, and the vote learns how far to trust it.
    """
    spans = views.Several({"audio": (views.Erase(least=0.0, most=0.15),) * 2}, count=1)
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.LeNet(width=64),
                "audio": encoders.Series(channels=48, stages=(1, 1), drop_path=0.1),
            },
            fusion=fusion.Experts(classes=10, dropout=0.5),
            heads={"label": heads.Vote(classes=10, rule="product", apart=True)},
        ),
        data=part("train", batch=64, augment=(transforms.Shift("audio", fraction=0.15),)),
        objectives={"label": objectives.CrossEntropy("label"), "each": objectives.Experts("label", smoothing=0.1)},
        evaluators={"val": Evaluator(part("val", batch=200), subsets=True)},
        optim=Optim(lr=3e-3, warmup=100, average=0.998, rule=AdamW(decay=0.1)),
        run=Run(steps=4_000, log_every=50),
        views=views.Chain((spans, views.Mixup(0.2))),
        modality_dropout=0.3,
    )
