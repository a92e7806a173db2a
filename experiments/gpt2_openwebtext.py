"""GPT-2, the smallest, from its first step, on pages of the web.

OpenWebText (8 million pages, 40 GB of text; https://skylion007.github.io/OpenWebTextCorpus) is not part of the shared
recordings. Bring it as two UTF-8 files under MMJAX_DATA, `openwebtext/train.txt` and `openwebtext/val.txt`, with a line
`<|endoftext|>` between pages. From TensorFlow Datasets, say:

    import tensorflow_datasets as tfds
    pages = tfds.data_source("openwebtext", split="train")
    with open("openwebtext/train.txt", "w", encoding="utf-8") as file:
        file.writelines(page["text"].decode() + SEPARATOR for page in pages)

They are encoded once, into `openwebtext-tokens` where the command runs, 2 bytes a token. On eight GPUs:

    mmjax train experiments/gpt2_openwebtext.py --mesh.fsdp 8
"""

from mmjax import Experiment, datasets, objectives, tokenizers, zoo
from mmjax.train import AdamW, Cosine, Evaluator, Optim, Run

WORDS, SEPARATOR = tokenizers.BytePairs(path="tokenizers/gpt2.tiktoken"), "\n<|endoftext|>\n"
TOKENS = 1024


def pages(split: str, batch: int) -> datasets.Texts:
    """The pages of one file, one after the other, in rows of 1,024 tokens."""
    store = f"openwebtext-tokens/{split}"
    return datasets.Texts(
        f"openwebtext/{split}.txt", WORDS, length=TOKENS, batch=batch, separator=SEPARATOR, store=store
    )


def config() -> Experiment:
    """124,439,808 parameters, half a million tokens a step for 600,000 steps, as nanoGPT trains it."""
    return Experiment(
        model=zoo.gpt2.small(length=TOKENS, dtype="bfloat16"),
        data=pages("train", batch=480),
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(pages("val", batch=96))},
        optim=Optim(lr=6e-4, warmup=2_000, rule=AdamW(decay=0.1, b2=0.95), schedule=Cosine(end=0.1), accumulate=5),
        run=Run(steps=600_000, log_every=100, save_every=2_000, evaluate_every=2_000),
    )
