#!/usr/bin/env python3
"""Fits the network of `src/media/decode/gops/skip/odds.rs`: how likely a shot begins in a GOP, or with the keyframe after it.

    gop_odds.py --rows target/release/examples/gop_rows CORPUS/tuning [MORE...]

Each folder has a `manifest.json` of `tests/bench/render.py`; one that is not of the tuning half is refused. Prints the errors in
cross-validation by film for several prices of decoding, then the tables for `odds.rs`. Needs numpy and torch.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

N_HIDDEN, N_FOLDS, N_EPOCHS, N_SEEDS = 6, 6, 250, 6
CODECS_LEFT_OUT = {"mjpeg"}


def rows_of(program, folder):
    """Features and truth of every GOP of a folder's videos."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if manifest["half"] != "tuning":
        sys.exit(f"{folder} is of the half {manifest['half']!r}: nothing may be fitted to it")
    rows = []
    for film in manifest["files"]:
        if film["codec"] in CODECS_LEFT_OUT:
            continue
        tolerance_us = 1.5e6 / film["fps"]
        cuts_us = [cut["time_ms"] * 1000 for cut in film["cuts"]]
        graduals_us = [(gradual["start_ms"] * 1000, gradual["end_ms"] * 1000) for gradual in film["graduals"]]
        unclear_us = [(part["start_ms"] * 1000, part["end_ms"] * 1000) for part in film["dont_care"]]
        printed = subprocess.run([program, folder / film["path"]], capture_output=True, text=True, check=True).stdout
        for gop in map(json.loads, printed.splitlines()):
            start_us, end_us = gop["start_us"], gop["end_us"]
            if any(first < end_us and last > start_us for first, last in unclear_us):
                continue
            within = any(start_us + tolerance_us < cut < end_us - tolerance_us for cut in cuts_us)
            touched = any(first < end_us - tolerance_us and last > start_us + tolerance_us for first, last in graduals_us)
            rows.append({"film": film["path"], "length_s": (end_us - start_us) / 1e6, "features": gop["features"], "truth": (any(abs(cut - end_us) < tolerance_us for cut in cuts_us), within or touched)})
    return rows


def fitted(features, truth, seed):
    """A network fitted to standardised features."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(features.shape[1], N_HIDDEN), torch.nn.Tanh(), torch.nn.Linear(N_HIDDEN, 2))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.3)
    x, y = torch.tensor(features), torch.tensor(truth)
    for _ in range(N_EPOCHS):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x + 0.1 * torch.randn_like(x)), y)
        loss.backward()
        optimiser.step()
    return loss.item(), network


def cross_validate(rows, features, truth):
    films = sorted({row["film"] for row in rows})
    fold = np.array([films.index(row["film"]) % N_FOLDS for row in rows])
    odds = np.zeros_like(truth)
    for k in range(N_FOLDS):
        for seed in range(3):
            _, network = fitted(features[fold != k], truth[fold != k], seed)
            odds[fold == k] += torch.sigmoid(network(torch.tensor(features[fold == k]))).detach().numpy() / 3
    lengths = np.array([row["length_s"] for row in rows])
    print("price of a second | decoded | false at end | missed at end | missed inside")
    for price in (0.3, 0.2, 0.15, 0.12, 0.1, 0.07):
        at_end, inside = odds[:, 0] > 0.5, odds[:, 1]
        decode = price * lengths < inside + np.minimum(odds[:, 0], 1 - odds[:, 0])
        left = ~decode
        false_end, missed_end = (left & at_end & (truth[:, 0] == 0)).sum(), (left & ~at_end & (truth[:, 0] == 1)).sum()
        print(f"{price:17} | {(lengths * decode).sum() / lengths.sum():7.2f} | {false_end:12} | {missed_end:13} | {(left & (truth[:, 1] == 1)).sum():13}")


def tables(network, mean, spread):
    """The network as Rust: the mean and spread of the features go into the first layer."""
    first, last = network[0], network[2]
    weights = first.weight.detach().numpy() / spread
    biases = first.bias.detach().numpy() - weights @ mean
    for name, size, rows, constants in (("HIDDEN", "N_FEATURES", weights, biases), ("OUT", "N_HIDDEN", last.weight.detach().numpy(), last.bias.detach().numpy())):
        print(f"\n#[rustfmt::skip]\nconst {name}: [([f32; {size}], f32); {'N_HIDDEN' if name == 'HIDDEN' else 2}] = [")
        for row, constant in zip(rows, constants):
            print(f"    ([{', '.join(f'{value:.4f}' for value in row)}], {constant:.4f}),")
        print("];")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=Path("target/release/examples/gop_rows"))
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    rows = [row for folder in arguments.folders for row in rows_of(arguments.rows, folder)]
    features = np.array([row["features"] for row in rows], np.float32)
    truth = np.array([row["truth"] for row in rows], np.float32)
    mean, spread = features.mean(0), features.std(0) + 1e-6
    standard = (features - mean) / spread
    print(f"{len(rows)} GOPs of {len({row['film'] for row in rows})} films; {truth.sum(0)} with a shot at the end, inside")
    cross_validate(rows, standard, truth)
    _, network = min((fitted(standard, truth, seed) for seed in range(N_SEEDS)), key=lambda one: one[0])
    tables(network, mean, spread)


if __name__ == "__main__":
    main()
