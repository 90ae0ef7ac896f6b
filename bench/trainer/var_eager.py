"""The VAR transformer of trainer/var in plain PyTorch: same shapes, batch, loss, optimizer and data.

The step begins with images, as ours does: a frozen tokenizer turns each batch into token maps and teacher-forced
inputs. Its weights are random; the time does not depend on them.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

import eager

SIDES = (1, 2, 3, 4)
TOKENS = sum(side * side for side in SIDES)
LEVELS = torch.tensor([k for k, side in enumerate(SIDES) for _ in range(side * side)])
VOCABULARY, CHANNELS = 128, 8


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.second(F.silu(self.first(F.silu(x))))


class Tokenizer(nn.Module):
    """The multi-scale residual quantizer (Tian et al. 2024, algorithms 1 and 2)."""

    def __init__(self, width=64, patch=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, width, patch, stride=patch), Residual(width), nn.SiLU(),
                                     nn.Conv2d(width, CHANNELS, 1))
        self.decoder = nn.Sequential(nn.Conv2d(CHANNELS, width, 3, padding=1), Residual(width), Residual(width),
                                     nn.SiLU(), nn.Conv2d(width, 3 * patch * patch, 1), nn.PixelShuffle(patch))
        self.phis = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in SIDES)
        self.codebook = nn.Embedding(VOCABULARY, CHANNELS)

    @torch.no_grad()
    def forward(self, images):
        """Images -> ids [B, T], and what predicts them: the reconstruction so far at each scale but the first."""
        latent = self.encoder(images)
        b, c, s, _ = latent.shape
        so_far = torch.zeros_like(latent)
        ids, inputs = [], []
        for side, phi in zip(SIDES, self.phis):
            if side > SIDES[0]:
                inputs.append(F.interpolate(so_far, (side, side), mode="area").flatten(2).transpose(1, 2))
            rest = F.interpolate(latent - so_far, (side, side), mode="area")
            vectors = rest.permute(0, 2, 3, 1).reshape(-1, c)
            distances = self.codebook.weight.square().sum(1) - 2 * vectors @ self.codebook.weight.t()
            ids.append(distances.argmin(1).view(b, -1))
            if side == SIDES[-1]:
                break
            so_far = self.add_scale(so_far, ids[-1], side, phi)
        return torch.cat(ids, 1), torch.cat(inputs, 1)


    def add_scale(self, so_far, ids, side, phi):
        codes = self.codebook(ids).transpose(1, 2).reshape(len(ids), CHANNELS, side, side)
        codes = F.interpolate(codes, so_far.shape[2:], mode="bicubic")
        return so_far + 0.5 * codes + 0.5 * phi(codes)


class Block(eager.Block):
    """Attention between unit vectors with a learned temperature per head; tokens see their own scale and coarser."""

    def __init__(self, width, heads):
        super().__init__(width, heads)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(4.0)))
        self.register_buffer("mask", torch.where(LEVELS[:, None] >= LEVELS, 0.0, -torch.inf))

    def scores(self, q, k):
        q = F.normalize(q, dim=-1) * self.log_scale.clamp_max(math.log(100.0)).exp()
        seen = k.shape[-2]
        return q @ F.normalize(k, dim=-1).transpose(-1, -2) + self.mask[seen - q.shape[-2]:seen, :seen]


class Var(nn.Module):
    def __init__(self, depth, width_per_depth):
        super().__init__()
        width = depth * width_per_depth
        self.text = eager.TextEncoder(width)
        self.input = nn.Linear(CHANNELS, width)
        self.positions = nn.Parameter(torch.randn(TOKENS, width) * 0.5)
        self.levels = nn.Embedding(len(SIDES), width)
        self.register_buffer("level_of", LEVELS)
        self.blocks = nn.ModuleList(Block(width, heads=depth) for _ in range(depth))
        self.head = eager.Head(width, VOCABULARY)

    def forward(self, inputs, tokens):
        condition = self.text(tokens)
        start = condition.unsqueeze(1).expand(-1, SIDES[0] ** 2, -1)
        x = torch.cat([start, self.input(inputs)], 1) + self.positions + self.levels(self.level_of)
        condition = F.silu(condition)
        for block in self.blocks:
            x = block(x, condition)
        return self.head(x, condition)


def draw_tokens(logits, top_p):
    """The likeliest tokens that hold top_p: logits [B, n, V] -> [B, n]."""
    probabilities, tokens = logits.softmax(-1).sort(-1, descending=True)
    probabilities[probabilities.cumsum(-1) - probabilities >= top_p] = 0
    drawn = probabilities.flatten(0, 1).multinomial(1).view(*logits.shape[:2], 1)
    return tokens.gather(-1, drawn).squeeze(-1)


def sample(model, tokenizer, captions, guidance=1.5, top_p=0.96):
    """Scale by scale with a key/value cache, both halves of guidance in one batch: captions -> images."""
    text = model.text(torch.cat([captions, torch.zeros_like(captions)]))
    condition = F.silu(text)
    latent = torch.zeros(len(captions), CHANNELS, SIDES[-1], SIDES[-1])
    past = [[] for _ in model.blocks]
    begin = 0
    for k, (side, phi) in enumerate(zip(SIDES, tokenizer.phis)):
        end = begin + side * side
        if k == 0:
            x = text.unsqueeze(1).expand(-1, end, -1)
        else:
            so_far = F.interpolate(latent, (side, side), mode="area").flatten(2).transpose(1, 2)
            x = model.input(so_far).repeat(2, 1, 1)
        x = x + model.positions[begin:end] + model.levels(model.level_of[begin:end])
        for block, cache in zip(model.blocks, past):
            x = block(x, condition, cache)
        captioned, free = model.head(x, condition).chunk(2)
        weight = guidance * k / (len(SIDES) - 1)
        ids = draw_tokens((1 + weight) * captioned - weight * free, top_p)
        latent = tokenizer.add_scale(latent, ids, side, phi)
        begin = end
    return tokenizer.decoder(latent).clamp(-1, 1)


def main():
    args = eager.arguments("depth", "width_per_depth")
    model = Var(args.depth, args.width_per_depth).to(args.device)
    tokenizer = Tokenizer().to(args.device).eval()
    if args.images:
        return eager.draw(args, model, lambda captions: sample(model, tokenizer, captions))

    def loss(images, tokens):
        ids, inputs = tokenizer(images)
        return F.cross_entropy(model(inputs, tokens).flatten(0, 1), ids.flatten())

    return eager.train(args, model, loss, learning_rate=0.0085 * 32 / (args.depth * args.width_per_depth), weight_decay=0.05)


if __name__ == "__main__":
    main()
