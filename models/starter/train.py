"""Trains the starter model on pictures it renders itself, within a wall-clock budget.

`python train.py --minutes 65 --work-dir /tmp/starter` writes checkpoints to the work dir and resumes from them;
the learning rate reaches zero when the minutes are over, however fast the machine is.
`python export.py` turns the last checkpoint into the files the product loads.
"""

import argparse
import multiprocessing
import os
import queue as queues
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import model
import render
import tokenizer as vocabulary
import world

BATCH = 256
# Small pictures first: the net is fully convolutional, and a step at 48 pixels costs little more than half as much.
SMALL_PX = 48
SMALL_PART = 0.6  # of the budget
N_STRANGE = 12
N_JUNK = 12  # pictures of nothing that can be named; they match no caption
PEAK_RATE = 2e-3
WARM_UP_STEPS = 150
EMA_DECAY = 0.998
TEST_SEED = 77
# Captions of what the model cannot know; they match no picture, so that unknown words score low.
OUTSIDE = [
    "a man talking", "two women in an office", "people walking in the street", "someone speaking", "hands holding a glass", "a crowd", "an interview", "a man in a suit",
    "the president", "my brother", "a kitchen with a sink", "a conference", "football players on a pitch", "a child playing", "a wedding dance", "a screen recording", "a keyboard close up",
    "handwriting on paper", "a car chase", "a fight", "a handshake deal", "a woman cooking", "a football match", "a lecture", "a concert", "a couple kissing", "a waterfall", "a quarry", "asdf qwer",
    "invoice", "quarterly results", "jazz", "an engine room", "philosophy", "nothing", "love", "history of france", "a portrait", "marching soldiers", "a courtroom", "surgery", "gardening",
]


def draw_compositions(rng, n):
    """Draws compositions, three in ten of them near neighbours of the one before."""
    compositions = []
    while len(compositions) < n:
        if compositions and rng.random() < 0.3:
            compositions.append(world.vary_composition(rng, compositions[-1]))
        else:
            compositions.append(world.draw_composition(rng, False))
    return compositions


def true_matches(captions, compositions):
    """Tells of which pictures each caption is true. **Shape** `[n_captions, n_pictures]` bool."""
    n = len(compositions)
    setting_of = torch.tensor([world.SETTING_NAMES.index(c.setting) for c in compositions])
    colours_of = torch.tensor([sorted(c.colours) + [-1] * (2 - len(c.colours)) for c in compositions])

    def numbered(entity):
        base = entity.index if entity.kind == "thing" else len(world.THINGS) + entity.index
        return [base, entity.colour, entity.count]

    entities_of = torch.full((n, 2, 3), -9)
    for row, composition in enumerate(compositions):
        for slot, entity in enumerate(composition.entities):
            entities_of[row, slot] = torch.tensor(numbered(entity))
    matches = torch.ones(len(captions), n, dtype=torch.bool)
    for row, (caption, composition) in enumerate(zip(captions, compositions)):
        if caption.setting:
            matches[row] &= setting_of == setting_of[row]
            if caption.colours:
                matches[row] &= (colours_of == colours_of[row]).all(1)
        for entity, says_count, says_colour in caption.claims:
            base, colour, count = numbered(entity)
            same = entities_of[:, :, 0] == base
            if says_colour:
                same &= entities_of[:, :, 1] == colour
            if says_count:
                same &= entities_of[:, :, 2] == count
            matches[row] &= same.any(1)
    return matches


def junk_pictures(rng, pictures):
    """Makes pictures that show nothing nameable: shuffled patches and blends of strangers."""
    n, side_px = pictures.shape[0], pictures.shape[-1]
    picked = pictures[torch.tensor([rng.randrange(n) for _ in range(N_JUNK)])]
    tile = rng.choice((8, 16))
    side = side_px // tile
    tiles = picked.reshape(N_JUNK, 3, side, tile, side, tile).permute(2, 4, 0, 1, 3, 5).reshape(side * side, N_JUNK, 3, tile, tile)
    tiles = tiles[torch.tensor(rng.sample(range(side * side), side * side))]
    shuffled = tiles.reshape(side, side, N_JUNK, 3, tile, tile).permute(2, 3, 0, 4, 1, 5).reshape(N_JUNK, 3, side * tile, side * tile)
    others = pictures[torch.tensor([rng.randrange(n) for _ in range(N_JUNK)])]
    blended = (picked + others + others.flip(0).flip(3)) / 3
    half = (torch.arange(N_JUNK) % 2 == 0)[:, None, None, None]
    return torch.where(half, shuffled, blended)


def contrastive_loss(image, text, junk, strange, matches, scale):
    """Symmetric InfoNCE. A picture of which a caption happens to be true is no negative; junk pictures and strange captions only are negatives."""
    image, text, junk, strange = (F.normalize(x.float(), dim=1) for x in (image, text, junk, strange))
    logits = text @ image.T * scale
    others = matches & ~torch.eye(len(matches), dtype=torch.bool, device=matches.device)
    logits = logits.masked_fill(others, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    by_text = F.cross_entropy(torch.cat([logits, text @ junk.T * scale], 1), target)
    by_image = F.cross_entropy(torch.cat([logits.T, image @ strange.T * scale], 1), target)
    accuracy = (logits.argmax(1) == target).float().mean()
    return (by_text + by_image) / 2, accuracy


@torch.no_grad()
def recall_at_one(dual, renderer, tokens, rng, n=1000):
    """Recall@1 of full captions over `n` held-out rendered pictures; a caption true of several pictures counts when one of them is first."""
    compositions = [world.draw_composition(rng, True) for _ in range(n)]
    captions = [world.caption(rng, c, full=True) for c in compositions]
    images = []
    for start in range(0, n, 250):
        pictures = renderer.render([renderer.place(c) for c in compositions[start : start + 250]])
        images.append(dual.vision(normalise(pictures)))
    ids, mask = tokens([c.text for c in captions])
    scores = F.normalize(dual.text(ids, mask), dim=1) @ F.normalize(torch.cat(images), dim=1).T
    return true_matches(captions, compositions)[torch.arange(n), scores.argmax(1)].float().mean().item()


@dataclass
class Batch:
    """What one step learns from. `pictures` u8; the last `N_JUNK` of them and the last `N_STRANGE` texts match nothing."""

    pictures: torch.Tensor
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    matches: torch.Tensor


def produce(seed, tokenizer_path, image_px, batches):
    """Renders batches for ever in a process of its own: on a busy machine two loosely coupled processes get on, two threads in lock step do not."""
    torch.set_num_threads(1)
    rng = random.Random(seed)
    tokens = vocabulary.Tokens(tokenizer_path)
    renderer = render.Renderer(seed, model.IMAGE_PX)
    old, old_pictures = [], torch.empty(0)
    while True:
        if renderer.image_px != image_px.value:
            renderer.image_px, old = image_px.value, []
        # Half of the pictures were in the batch before too; their captions are new.
        new = draw_compositions(rng, BATCH - len(old))
        new_pictures = renderer.render([renderer.place(composition) for composition in new])
        compositions = new + old
        pictures = torch.cat([new_pictures, old_pictures]) if old else new_pictures
        old, old_pictures = new[: BATCH // 2], new_pictures[: BATCH // 2]
        captions = [world.caption(rng, composition) for composition in compositions]
        pictures = torch.cat([pictures, junk_pictures(rng, pictures)]).mul(255).round().to(torch.uint8)
        ids, mask = tokens([caption.text for caption in captions] + rng.sample(OUTSIDE, N_STRANGE))
        # As arrays: tensors would travel as file descriptors that need the sender to live.
        batch = tuple(part.numpy() for part in (pictures, ids, mask, true_matches(captions, compositions)))
        while True:
            try:
                batches.put(batch, timeout=5)
                break
            except queues.Full:
                if not multiprocessing.parent_process().is_alive():
                    return


def n_threads(most):
    """Chooses one thread when other programs fill the cores: threads in lock step wait for each other, and are slower than one alone."""
    own = 2  # this process and the one that renders
    return most if os.getloadavg()[0] < own + 0.8 else 1


def normalise(pictures):
    return ((pictures - model.IMAGE_MEAN) / model.IMAGE_STD).contiguous(memory_format=torch.channels_last)


def ema_model(dual, averaged):
    copy = model.DualEncoder(dual.text.tokens.num_embeddings)
    copy.load_state_dict(averaged)  # on the processor, where the tests on the way run
    return copy.to(memory_format=torch.channels_last).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, required=True, help="wall-clock budget of the whole training, earlier parts included")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="most threads to use beside the process that renders")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where the model trains; pictures are always rendered on the processor")
    parser.add_argument("--max-steps", type=int, default=1 << 30, help="stop early, for a smoke run")
    options = parser.parse_args()
    options.work_dir.mkdir(parents=True, exist_ok=True)
    tokens = vocabulary.load_or_train(options.work_dir / "tokenizer.json")
    checkpoint = options.work_dir / "checkpoint.pt"

    torch.manual_seed(options.seed)
    dual = model.DualEncoder(tokens.size).to(options.device, memory_format=torch.channels_last)
    decayed = [p for p in dual.parameters() if p.ndim > 1]
    plain = [p for p in dual.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=PEAK_RATE, betas=(0.9, 0.98))
    averaged = {name: value.clone() for name, value in dual.state_dict().items()}
    step, spent_s = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=options.device, weights_only=True)
        dual.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        averaged, step, spent_s = saved["averaged"], saved["step"], saved["spent_s"]
        print(f"resumed at step {step} after {spent_s / 60:.1f} min", flush=True)
    renderer = render.Renderer(options.seed, model.IMAGE_PX)  # for the tests on the way
    image_px = multiprocessing.Value("i", SMALL_PX)
    queue = multiprocessing.Queue(maxsize=6)
    producer = multiprocessing.Process(target=produce, args=(options.seed + 7919 * (step + 1), options.work_dir / "tokenizer.json", image_px, queue))
    producer.start()
    print(f"{len(world.THINGS)} things, {len(world.SETTINGS)} settings, {tokens.size} tokens", flush=True)

    def save():
        torch.save({"model": dual.state_dict(), "optimiser": optimiser.state_dict(), "averaged": averaged, "step": step, "spent_s": spent_s}, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))  # saves, to be resumed
    budget_s = options.minutes * 60
    last = time.monotonic()
    sums = [0.0, 0.0]
    dual.train()
    while spent_s < budget_s and step < options.max_steps and not stop:
        # Linear to zero by the clock: the anneal, where most of the accuracy comes from, always happens.
        rate = PEAK_RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.0, 1 - spent_s / budget_s)
        for group in optimiser.param_groups:
            group["lr"] = rate
        image_px.value = SMALL_PX if spent_s < SMALL_PART * budget_s else model.IMAGE_PX
        batch = Batch(*(torch.from_numpy(part).to(options.device) for part in queue.get()))
        torch.set_num_threads(n_threads(options.threads))
        with torch.autocast(options.device, dtype=torch.bfloat16):
            image = dual.vision(normalise(batch.pictures.float() / 255))
            text = dual.text(batch.input_ids, batch.attention_mask)
        scale = dual.log_scale.clamp(max=model.MAX_LOG_SCALE).exp()
        loss, accuracy = contrastive_loss(image[:BATCH], text[:BATCH], image[BATCH:], text[BATCH:], batch.matches, scale)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dual.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in dual.state_dict().items():
                if value.is_floating_point():
                    averaged[name].lerp_(value, 1 - decay)
                else:
                    averaged[name].copy_(value)
        step += 1
        sums[0] += loss.item()
        sums[1] += accuracy.item()
        now = time.monotonic()
        spent_s, last = spent_s + now - last, now
        if step % 25 == 0:
            print(f"step {step} {spent_s / 60:.2f} min loss {sums[0] / 25:.3f} batch R@1 {sums[1] / 25:.3f} rate {rate:.5f} scale {scale.item():.1f} threads {torch.get_num_threads()}", flush=True)
            sums = [0.0, 0.0]
        if step % 500 == 0 or step in (100, 250):
            save()
            recall = recall_at_one(ema_model(dual, averaged), renderer, tokens, random.Random(TEST_SEED))
            print(f"step {step}: recall@1 over 1,000 held-out pictures {recall:.3f}", flush=True)
    producer.kill()
    save()
    if stop:
        return
    recall = recall_at_one(ema_model(dual, averaged), renderer, tokens, random.Random(TEST_SEED))
    print(f"done: {step} steps in {spent_s / 60:.1f} min, recall@1 over 1,000 held-out pictures {recall:.3f}", flush=True)


if __name__ == "__main__":
    main()
