"""A radiograph and a clinical question to an answer in words, whatever they may be (VQA-RAD).

``mmjax train experiments/organ.py --workdir runs/organ`` first: a tower that learned what part of the body it sees.
Then ``mmjax train experiments/vqa_rad.py``, whose decoder is told by it. ``python experiments/vqa_rad.py`` does both,
after it has printed how many answers training knows at all, and what words alone and a table of questions answer: about
radiographs never seen, and about ones that training saw, as those of the published test questions are.
"""

import dataclasses
import sys
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import mmjax
from mmjax import Experiment, datasets, decoders, encoders, fields, fusion, metrics, objectives, tokenizers, transforms
from mmjax.metrics import answer
from mmjax.train import AdamW, Evaluator, Optim, Run

TOWER = Path("runs/organ")
FIGURES = ("exact_match", "token_f1", "bleu")
WORDS = tokenizers.BytePairs(limit=1_000, lower=True)
PLACES = {"both": 1, "image": 1, "question": 1, "stems": 1}
PROMPT = fields.Prompt("<both><image><question><stems>", tokenizer=WORDS, places=PLACES, length=4, reply=12)
INPUTS = {
    "image": fields.Image(size=64, channels=1, background=0),
    "question": fields.Text("question", tokenizer=WORDS, length=36),
    "stems": fields.Text("question", tokenizer=tokenizers.Words(stem="english", limit=1_000), length=24),
    "text": PROMPT,
}
TARGETS = {"next": fields.Reply(PROMPT, by="answer_type", together="image")}
AUGMENT = (
    transforms.Affine("image", degrees=5, shift=0.05, scale=0.1),
    transforms.Light("image"),
    transforms.DropTokens("question", probability=0.2),
    transforms.DropTokens("stems", probability=0.2),
)


def part(path: str, **options) -> datasets.Manifest:
    """The questions of a file, of both kinds."""
    return datasets.Manifest(path, inputs=INPUTS, targets=TARGETS, **options)


def config() -> Experiment:
    """Radiograph and question are a token each, from which a decoder of one layer answers piece by piece.

    2,730 questions teach which words are answered how and little of their order, so the question is two bags, of byte
    pairs and of stems. The same words are answered otherwise about a chest than about a head: a token more is the
    product of what radiograph and question tell.
    """
    bag = {"width": 128, "depth": 0, "positions": "none", "dropout": 0.5}
    return Experiment(
        model=decoders.Talker(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=16, convolutions=4, channels=32, dropout=0.1),
                "question": encoders.Text(vocabulary=1_000, **bag),
                "stems": encoders.Text(vocabulary=1_002, **bag),
            },
            bridges={name: decoders.Mean(width=128) for name in ("image", "question", "stems")},
            fused={"both": fusion.LowRank(width=128)},
            decoder=decoders.GPT(
                1_000, length=16, width=128, depth=1, heads=4, mlp=2.0, dropout=0.3, tied=False, stddev=0.1
            ),
        ),
        data=part("vqa_rad/train.jsonl", batch=32, augment=AUGMENT),
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={
            "val": Evaluator(part("vqa_rad/val.jsonl", batch=67), {"answer": metrics.Replies(figures=FIGURES)})
        },
        optim=Optim(lr=5e-3, warmup=50, average=0.98, rule=AdamW(decay=0.1), frozen=("^encoders_image/",)),
        run=Run(steps=1_200, log_every=50),
        init_from=str(TOWER),
    )


def known() -> Experiment:
    """The same, measured on a tenth of the training questions: others about their radiographs, often the same in other
    words, were learned."""
    own, tenth = config(), datasets.Fold(10)
    held_out = dataclasses.replace(tenth, held_out=True)
    evaluator = dataclasses.replace(own.evaluators["val"], data=part("vqa_rad/train.jsonl", batch=67, fold=held_out))
    data = dataclasses.replace(own.data, fold=tenth)
    return dataclasses.replace(own, data=data, evaluators={"known": evaluator})


def words_alone(seen: list[dict], asked: list[dict]) -> list[str]:
    """What a logistic regression on the words of a question answers."""
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, tol=1e-3))
    model.fit([row["question"] for row in seen], [row["answer"] for row in seen])
    return list(model.predict([row["question"] for row in asked]))


def looked_up(seen: list[dict], asked: list[dict]) -> list[str]:
    """The answer to the most similar question about the same radiograph, or else about any."""
    model = TfidfVectorizer(sublinear_tf=True)
    known = model.fit_transform([row["question"] for row in seen])
    alike = (model.transform([row["question"] for row in asked]) @ known.T).toarray()
    same = [[one["image"] == row["image"] for one in seen] for row in asked]
    return [seen[i]["answer"] for i in (alike + same).argmax(axis=1)]


def told(name: str, figures: dict) -> None:
    """A row for each kind of question; words alone as yes and no have no BLEU to speak of."""
    for kind, own in sorted(figures.items()):
        names = [figure for figure in FIGURES if figure in own and (figure, kind) != ("bleu", "closed")]
        cells = [f"{figure} {_written(own[figure], figure)}" for figure in names]
        print(f"{name:<28}{kind:<8}{', '.join(cells)}", flush=True)


def _written(figure: dict, name: str) -> str:
    value, low, high = ((1 if name == "bleu" else 100) * figure[key] for key in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def by_kind(said: list[str], asked: list[dict]) -> dict:
    """Figures of closed and of open questions; intervals are over radiographs."""
    found = {}
    for kind in ("closed", "open"):
        own = [(text, row) for text, row in zip(said, asked, strict=True) if row["answer_type"] == kind]
        answers, images = [row["answer"] for _, row in own], [row["image"] for _, row in own]
        found[kind] = metrics.sentences([text for text, _ in own], answers, figures=FIGURES, together=images)
    return found


def without(title: str, experiment: Experiment) -> None:
    """What can be answered at all, and what is without a model that sees."""
    (evaluator,) = experiment.evaluators.values()
    seen, asked = ([row.cells for row in data.source().rows] for data in (experiment.data, evaluator.data))
    given = {answer.plain(row["answer"]) for row in seen}
    found = [answer.plain(row["answer"]) in given for row in asked if row["answer_type"] == "open"]
    print(f"{title}: {len(asked)} questions about {len({row['image'] for row in asked})} of them")
    print(f"of {len(found)} open answers {100 * sum(found) / len(found):.1f} % occur in training")
    told("words alone", by_kind(words_alone(seen, asked), asked))
    told("most similar question", by_kind(looked_up(seen, asked), asked))


def within(title: str, experiment: Experiment, workdir: str) -> None:
    """What the model answers, and the commonest answers of training."""
    (found,) = mmjax.train(experiment, workdir=workdir, quiet=True).evaluations.values()
    groups = found["heads"]["answer"]["per_group"]
    print(title)
    told("commonest answer", {kind: {"exact_match": own["majority"]} for kind, own in groups.items()})
    told("this model", groups)


if __name__ == "__main__":
    parts = {"radiographs never seen": config(), "radiographs that training saw": known()}
    for title, experiment in parts.items():
        without(title, experiment)
    sys.path.insert(0, str(Path(__file__).parent))
    import organ

    mmjax.train(organ.config(), workdir=TOWER, quiet=True)  # once: after that it is there
    for (title, experiment), name in zip(parts.items(), ("vqa_rad", "vqa_rad_known"), strict=True):
        within(title, experiment, f"runs/{name}")
