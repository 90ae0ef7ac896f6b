"""The diffusion transformer of trainer/diffusion in plain PyTorch: what a researcher would write.

Same shapes, batch, loss, optimizer (AdamW), clipping, weight average and data (scenes in memory as bytes); random
scenes stand for real ones, the arithmetic is the same. Prints one JSON line with the time per step.
"""
import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads, ratio):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, ratio * width)
        self.down = nn.Linear(ratio * width, width)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x, condition):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        b, t, w = x.shape
        qkv = self.qkv(self.norm1(x) * (1 + scale1) + shift1)
        q, k, v = qkv.view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(w // self.heads), -1)
        x = x + gate1 * self.out((p @ v).transpose(1, 2).reshape(b, t, w))
        return x + gate2 * self.down(F.gelu(self.up(self.norm2(x) * (1 + scale2) + shift2), approximate="tanh"))


class Dit(nn.Module):
    WORDS, LENGTH = 22, 8

    def __init__(self, width, depth, heads, patch=4, ratio=4, resolution=16):
        super().__init__()
        size = 3 * patch * patch
        self.table = nn.Parameter(torch.randn(self.LENGTH * self.WORDS, width))
        self.text = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.patch_in = nn.Linear(size, width)
        self.patch_out = nn.Linear(width, size)
        self.positions = nn.Parameter(torch.randn((resolution // patch) ** 2, width) * 0.1)
        self.blocks = nn.ModuleList(Block(width, heads, ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(width, 2 * width)
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000), width // 2)))

    def forward(self, patches, t, tokens):
        phases = t[:, None] * self.frequencies
        rows = tokens + torch.arange(self.LENGTH) * self.WORDS
        condition = F.silu(self.time(torch.cat([phases.cos(), phases.sin()], 1)) +
                           self.text(F.embedding(rows, self.table).sum(1)))
        x = self.patch_in(patches) + self.positions
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.modulation(condition).unsqueeze(1).chunk(2, -1)
        return self.patch_out(self.norm(x) * (1 + scale) + shift)


def patchify(images, patch):
    b, grid = images.shape[0], images.shape[2] // patch
    return images.view(b, 3, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5).reshape(b, grid * grid, -1)


def main():
    parser = argparse.ArgumentParser()
    for name in ("width", "depth", "heads", "batch", "steps", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    args = parser.parse_args()
    now = time.perf_counter if args.clock == "wall" else time.process_time
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    model = Dit(args.width, args.depth, args.heads)
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    pool = torch.randint(0, 256, (20000, 3, 16, 16), dtype=torch.uint8)
    captions = torch.randint(0, Dit.WORDS, (20000, Dit.LENGTH))

    def step():
        rows = torch.randint(0, len(pool), (args.batch,))
        clean = patchify(pool[rows].float() * (2 / 255) - 1, 4)
        tokens = captions[rows] * (torch.rand(args.batch, 1) >= 0.1)
        t = 0.05 + 0.95 * (torch.arange(args.batch) + torch.rand(args.batch)) / args.batch
        noise = torch.randn_like(clean)
        target = noise - clean
        between = clean + t[:, None, None] * target
        velocity = (between - model(between, t, tokens)) / t.clamp_min(0.05)[:, None, None]
        loss = F.mse_loss(velocity, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(average, 0.99)
            torch._foreach_add_(average, parameters, alpha=0.01)
        return loss.item()

    for _ in range(max(5, args.steps // 10)):
        step()
    begin = now()
    for _ in range(args.steps):
        step()
    seconds = now() - begin
    print(json.dumps({"seconds_per_step": seconds / args.steps}))


if __name__ == "__main__":
    main()
