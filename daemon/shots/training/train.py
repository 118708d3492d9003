"""Trains the two networks of the shot detector and writes their weights.

    train.py --stills DIR --corpus DIR --media DIR --out weights.bin [--edits N] [--epochs N] [--work DIR] [--processes N] [--shot-rows PROGRAM]

STILLS is a folder of photographs, CORPUS the bench's tuning half as `tests/bench/render.py` wrote it, MEDIA the real clips. What
the networks see of the films is kept in the work folder; whoever changes how films are made or seen empties it.
"""

import argparse
import functools
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import rows

ROOT = Path(__file__).resolve().parents[3]
# Of daemon/shots/src/network.rs: channels, rows of a convolution, how far these lie apart, and what standardised inputs are cut to.
HIDDEN, TAPS, DILATIONS, LIMIT = (24, 24, 16), 5, (1, 1, 2), 6.0
# Rows before and after the one that an answer is about.
DELAY = 8
# Thresholds of daemon/shots/src/detector.rs.
CUT, SURE_CUT, CUT_FRAMES, GRADUAL, SURE_GRADUAL = 0.5, 0.9, 4, 0.35, 0.8

EDITS_PER_BATCH = 150
HELD_OUT_SHARE = 0.1
# The encoded videos and the real clips are few beside the edits.
CORPUS_TIMES, REAL_TIMES = 4, 3
# Cuts between frames that differ less than this are asked of nobody; up to the second they count half.
INVISIBLE, HARDLY_VISIBLE = 3.0, 6.0
BATCH, PEAK_RATE, WEIGHT_DECAY = 32, 2e-3, 1e-3
LEAST_DEVIATION = 0.02


@dataclass(frozen=True)
class Regime:
    """How one network is trained. `positive_weights`: how much more a missed answer costs than a false one; `noise` in deviations."""

    name: str
    rows_per_piece: int
    positive_weights: tuple
    epochs: int
    noise: float
    dropout: float


CUTS = Regime("cuts", 128, (3.0,), epochs=50, noise=0.0, dropout=0.0)
# Without noise and dropout this one learns the few encoded videos by heart.
GRADUALS = Regime("graduals", 64, (1.5, 2.0), epochs=36, noise=0.12, dropout=0.1)


class Network(nn.Module):
    """Three convolutions over time and a linear answer. `[n, t + 16, n_in]` rows to `[n, t, n_out]` logits."""

    def __init__(self, mean, deviation, n_out, dropout):
        super().__init__()
        self.dropout = dropout
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        widths = (len(mean), *HIDDEN)
        self.convolutions = nn.ModuleList(nn.Conv1d(n_in, n_hidden, TAPS, dilation=dilation) for n_in, n_hidden, dilation in zip(widths, HIDDEN, DILATIONS))
        self.head = nn.Conv1d(HIDDEN[-1], n_out, 1)

    def forward(self, x):
        x = ((x - self.mean) / self.deviation).clamp(-LIMIT, LIMIT).transpose(1, 2)
        first, *others = self.convolutions
        x = F.relu(first(x))
        for convolution in others:
            x = F.dropout(F.relu(convolution(x)), self.dropout, self.training)
        return self.head(x).transpose(1, 2)

    def weights(self):
        """In the order in which `Network::new` of network.rs takes them. **Shape** `[n]` f32."""
        parts = [self.mean, 1 / self.deviation]
        for convolution in self.convolutions:
            parts += [convolution.weight.permute(2, 1, 0), convolution.bias]
        parts += [self.head.weight[:, :, 0], self.head.bias]
        return np.concatenate([part.detach().numpy().ravel() for part in parts]).astype("<f4")


@dataclass(frozen=True)
class Lesson:
    """What a network is told about one video. **Shape** `[n + 16, n_in]` rows, `[n, n_out]` answers, `[n]` how much each counts."""

    rows: np.ndarray
    answers: np.ndarray
    counts: np.ndarray


def with_ends(film_rows):
    """The first and the last row stand for what is beyond them, as in the detector."""
    return np.pad(film_rows.astype(np.float32), ((DELAY, DELAY), (0, 0)), mode="edge")


def cut_lesson(example):
    """One answer: whether a frame is the first after a cut."""
    truth = example.truth
    answers, counts = np.zeros((truth.n_frames, 1), np.float32), np.ones(truth.n_frames, np.float32)
    for start, end in truth.ignored:
        counts[max(start - 1, 0) : end + 1] = 0
    for cut in truth.cuts:
        if cut.difference < INVISIBLE:
            counts[max(cut.frame - 1, 0) : cut.frame + 2] = 0
        else:
            answers[cut.frame] = 1
            counts[cut.frame] = 1 if cut.difference >= HARDLY_VISIBLE else 0.5
    for gradual in truth.graduals:
        # A cut reported within a transition gives way to it, so an error here costs less.
        counts[max(gradual.start - 2, 0) : gradual.end + 2] *= 0.6
    return Lesson(with_ends(example.cut_rows), answers, counts)


def gradual_lesson(example):
    """Two answers: whether a step lies within a transition, and whether in its middle."""
    truth, frames = example.truth, example.step_frames
    answers, counts = np.zeros((len(frames), 2), np.float32), np.ones(len(frames), np.float32)
    for start, end in truth.ignored:
        counts[(frames >= start - 2) & (frames <= end + 2)] = 0
    for gradual in truth.graduals:
        answers[(frames >= gradual.start) & (frames < gradual.end), 0] = 1
        # The very ends cannot be told from what is beside them.
        counts[(np.abs(frames - gradual.start) <= 1) | (np.abs(frames - gradual.end) <= 1)] *= 0.3
        middle = int(np.argmin(np.abs(frames - gradual.middle)))
        answers[max(0, middle - 1) : middle + 2, 1] = 1
    return Lesson(with_ends(example.step_rows), answers, counts)


def pieces(lessons, n_rows):
    """All lessons cut into pieces of equal length; what is filled up at the end counts nothing."""
    all_rows, all_answers, all_counts = [], [], []
    for lesson in lessons:
        for first in range(0, len(lesson.counts), n_rows):
            part = lesson.rows[first : first + n_rows + 2 * DELAY]
            answers, counts = lesson.answers[first : first + n_rows], lesson.counts[first : first + n_rows]
            missing = n_rows - len(counts)
            all_rows.append(np.pad(part, ((0, missing), (0, 0))))
            all_answers.append(np.pad(answers, ((0, missing), (0, 0))))
            all_counts.append(np.pad(counts, (0, missing)))
    return tuple(torch.from_numpy(np.stack(part)) for part in (all_rows, all_answers, all_counts))


def fit(regime, lessons, epochs):
    """Trains one network."""
    torch.manual_seed(0)
    inputs, answers, counts = pieces(lessons, regime.rows_per_piece)
    seen = torch.from_numpy(np.concatenate([lesson.rows for lesson in lessons]))
    network = Network(seen.mean(0), seen.std(0).clamp(min=LEAST_DEVIATION), answers.shape[2], regime.dropout)
    steps = len(inputs) // BATCH
    if not steps:
        raise ValueError(f"{regime.name}: {len(inputs)} pieces, fewer than a batch of {BATCH}: more edits are needed")
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=epochs * steps + 1)
    started, positive = time.monotonic(), torch.tensor(regime.positive_weights)
    for epoch in range(epochs):
        order, total = torch.randperm(len(inputs)), 0.0
        for chosen in order[: steps * BATCH].split(BATCH):
            batch = inputs[chosen]
            logits = network(batch + torch.randn_like(batch) * network.deviation * regime.noise)
            losses = F.binary_cross_entropy_with_logits(logits, answers[chosen], pos_weight=positive, reduction="none")
            loss = (losses * counts[chosen][..., None]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        if epoch % 5 == 4 or epoch == epochs - 1:
            print(f"{regime.name}: epoch {epoch + 1}, loss {total / steps:.6f}, {time.monotonic() - started:.0f} s", flush=True)
    return network.eval()


@torch.no_grad()
def answer(network, film_rows):
    return torch.sigmoid(network(torch.from_numpy(with_ends(film_rows))[None]))[0].numpy()


def found_cuts(probabilities):
    """Frames more likely than all their neighbours."""
    cuts = []
    for frame in np.argsort(-probabilities):
        if probabilities[frame] < CUT:
            break
        if all(abs(frame - other) >= CUT_FRAMES for other in cuts):
            cuts.append(int(frame))
    return sorted(cuts)


def found_graduals(within, middles, frames):
    """Runs of steps within a transition, as (first frame, middle, last frame)."""
    graduals, step = [], 0
    while step < len(within):
        first = step
        while step < len(within) and within[step] > GRADUAL:
            step += 1
        if step > first and within[first:step].max() >= SURE_GRADUAL:
            graduals.append((frames[first], frames[first + int(np.argmax(middles[first:step]))], frames[step - 1]))
        step = max(step, first + 1)
    return graduals


def detect(example, cut_network, gradual_network):
    """What the networks say about a video. Simpler than detector.rs: parts of fades are not joined."""
    sure = answer(cut_network, example.cut_rows)[:, 0]
    within, middles = answer(gradual_network, example.step_rows).T
    graduals = found_graduals(within, middles, example.step_frames)
    cuts = [cut for cut in found_cuts(sure) if sure[cut] >= SURE_CUT or not any(first - 2 <= cut <= last + 2 for first, _, last in graduals)]
    graduals = [(first, middle, last) for first, middle, last in graduals if not any(first - 3 <= cut <= last + 3 for cut in cuts)]
    return cuts, [int(middle) for _, middle, _ in graduals]


def matched(found, wanted, is_excused):
    """True, false and missed ones. `wanted`: the spans `[low, high]` in which one is expected; each is found once."""
    open_spans, n_true, n_false = list(wanted), 0, 0
    for frame in found:
        span = next((span for span in open_spans if span[0] <= frame <= span[1]), None)
        if span is not None:
            open_spans.remove(span)
            n_true += 1
        elif not is_excused(frame):
            n_false += 1
    return np.array([n_true, n_false, len(open_spans)])


def score(example, cut_network, gradual_network):
    """Cuts and graduals, each true, false and missed. **Shape** `[2, 3]`."""
    truth = example.truth
    cuts, graduals = detect(example, cut_network, gradual_network)
    visible = [(cut.frame - 1, cut.frame + 1) for cut in truth.cuts if cut.difference >= INVISIBLE]
    invisible = [(cut.frame - 1, cut.frame + 1) for cut in truth.cuts if cut.difference < INVISIBLE]
    transitions = [(gradual.start - 1, gradual.end) for gradual in truth.graduals]
    ignored = [(start - 3, end + 3) for start, end in truth.ignored]

    def within(spans):
        return lambda frame: any(low <= frame <= high for low, high in spans)

    return np.stack([matched(cuts, visible, within(transitions + ignored + invisible)), matched(graduals, transitions, within(ignored))])


def report(name, examples, cut_network, gradual_network):
    totals = sum(score(example, cut_network, gradual_network) for example in examples)
    for kind, (n_true, n_false, n_missed) in zip(("cuts", "gradual transitions"), totals):
        f1 = 2 * n_true / max(1, 2 * n_true + n_false + n_missed)
        print(f"{name}: {kind}: F1 {f1:.3f}, {n_true} true, {n_false} false, {n_missed} missed", flush=True)


def kept(path: Path, make):
    """The examples in a file of the work folder, made if it is not there."""
    if not path.exists():
        examples = make()
        unfinished = path.with_suffix(".tmp")
        unfinished.write_bytes(pickle.dumps(examples))
        unfinished.rename(path)
        print(f"{path.name}: {len(examples)} films, {sum(example.truth.n_frames for example in examples)} frames", flush=True)
    return pickle.loads(path.read_bytes())


def keep_batch(batch, arguments):
    """Makes one batch of edits, in a process of its own."""
    seeds = range(batch * EDITS_PER_BATCH, min((batch + 1) * EDITS_PER_BATCH, arguments.edits))
    make = functools.partial(rows.edit_examples, arguments.shot_rows, arguments.stills, arguments.media, seeds)
    return kept(arguments.work / f"edits-{seeds[0]:05}-{seeds[-1]:05}.pickle", make)


def all_edits(arguments):
    n_batches = -(-arguments.edits // EDITS_PER_BATCH)
    with ProcessPoolExecutor(arguments.processes) as workers:
        batches = workers.map(functools.partial(keep_batch, arguments=arguments), range(n_batches))
        return [example for batch in batches for example in batch]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--edits", type=int, default=22 * EDITS_PER_BATCH)
    parser.add_argument("--epochs", type=int, help="for both networks; each has its own number else")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "shots-training")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--shot-rows", type=Path, default=ROOT / "target" / "release" / "examples" / "shot_rows")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.processes)
    edits = all_edits(arguments)
    corpus = kept(arguments.work / "corpus.pickle", lambda: rows.corpus_examples(arguments.shot_rows, arguments.corpus))
    real = kept(arguments.work / "real.pickle", lambda: rows.real_examples(arguments.shot_rows, arguments.media))
    n_held_out = max(1, int(len(edits) * HELD_OUT_SHARE))
    held_out, learnt = edits[:n_held_out], edits[n_held_out:] + corpus * CORPUS_TIMES + real * REAL_TIMES
    print(f"{len(learnt)} films of {sum(example.truth.n_frames for example in learnt)} frames to learn from, {n_held_out} to check on", flush=True)
    cut_network = fit(CUTS, [cut_lesson(example) for example in learnt], arguments.epochs or CUTS.epochs)
    gradual_network = fit(GRADUALS, [gradual_lesson(example) for example in learnt], arguments.epochs or GRADUALS.epochs)
    report("edits not learnt from", held_out, cut_network, gradual_network)
    report("corpus, learnt from", corpus, cut_network, gradual_network)
    report("real clips, learnt from", real, cut_network, gradual_network)
    weights = np.concatenate([cut_network.weights(), gradual_network.weights()])
    arguments.out.write_bytes(weights.tobytes())
    print(f"{arguments.out}: {weights.nbytes} bytes", flush=True)


if __name__ == "__main__":
    main()
