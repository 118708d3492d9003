"""Trains the tokenizer on the world's captions and loads it.

The file is a plain `tokenizers` JSON (BPE on lower-cased words, no truncation or padding section), which the
Rust crate reads without optional features.
"""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import model
import world

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
VOCABULARY = 3500
CORPUS_CAPTIONS = 60_000
ALPHABET = list("abcdefghijklmnopqrstuvwxyz0123456789-'.,?!&/")


def corpus():
    """Yields captions of training compositions and every name, several times, singular and plural."""
    rng = random.Random(5)
    for _ in range(CORPUS_CAPTIONS):
        yield world.caption(rng, world.draw_composition(rng, False)).text
    for thing in world.THINGS:
        for name in thing["names"]:
            for _ in range(8):
                yield name
                yield world.pluralise(name)


def train(path):
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[PAD, BOS, EOS, UNKNOWN], initial_alphabet=ALPHABET, min_frequency=6, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=ids)
    tokenizer.save(str(path))


class Tokens:
    """Turns texts into padded `input_ids` and `attention_mask`. **Shape** `[n, longest]` i64 each."""

    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(str(path))
        self.size = self.tokenizer.get_vocab_size()

    def __call__(self, texts):
        encoded = [encoding.ids[: model.MAX_TOKENS] for encoding in self.tokenizer.encode_batch(texts)]
        longest = max(map(len, encoded))
        ids = torch.zeros(len(texts), longest, dtype=torch.int64)
        mask = torch.zeros(len(texts), longest, dtype=torch.int64)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        return ids, mask


def load_or_train(path):
    if not Path(path).exists():
        train(path)
    return Tokens(path)
