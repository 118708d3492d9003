"""Tells drawn pictures from real ones by the backbone's features: a logistic regression on clipped, standardised features.

Its drawn side is rendered from the world, its real side are pictures of free licences that packages carry (README.md lists them).
"""

import numpy as np
import torch

STEPS = 400
DECAY = 3e-3  # strong: the gate must not learn single pictures


def learn(drawn, real):
    """**Shape** features `[n, 1280]` each. Returns the gate's parts; positive means drawn."""
    both = np.concatenate([drawn, real])
    mean, deviation = both.mean(0), both.std(0) + 0.05
    x = torch.from_numpy(np.clip((both - mean) / deviation, -5, 5).astype(np.float32))
    y = torch.cat([torch.ones(len(drawn)), torch.zeros(len(real))])
    weight_of = torch.where(y > 0, len(both) / (2 * len(drawn)), len(both) / (2 * len(real)))
    weight, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=5e-3)
    for _ in range(STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight + bias, y, weight=weight_of) + DECAY * weight.square().sum() * 10
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32), "weight": weight.detach().numpy(), "bias": np.float32(bias.item())}


def opened(gate, features):
    x = np.clip((features - gate["mean"]) / gate["deviation"], -5, 5)
    return 1 / (1 + np.exp(-(x @ gate["weight"] + gate["bias"])))
