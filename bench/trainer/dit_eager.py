"""The diffusion transformer of trainer/diffusion in plain PyTorch: same shapes, batch, loss, optimizer and data."""
import math

import torch
from torch import nn
from torch.nn import functional as F

import eager


class Dit(nn.Module):
    def __init__(self, width, depth, heads, patch=4):
        super().__init__()
        size = 3 * patch * patch
        self.text = eager.TextEncoder(width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.patch_in = nn.Linear(size, width)
        self.positions = nn.Parameter(torch.randn((eager.RESOLUTION // patch) ** 2, width) * 0.1)
        self.blocks = nn.ModuleList(eager.Block(width, heads) for _ in range(depth))
        self.head = eager.Head(width, size)
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000), width // 2)))

    def forward(self, patches, t, tokens):
        phases = t[:, None] * self.frequencies
        condition = F.silu(self.time(torch.cat([phases.cos(), phases.sin()], 1)) + self.text(tokens))
        x = self.patch_in(patches) + self.positions
        for block in self.blocks:
            x = block(x, condition)
        return self.head(x, condition)


def patchify(images, patch):
    b, grid = images.shape[0], images.shape[2] // patch
    return images.view(b, 3, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5).reshape(b, grid * grid, -1)


def unpatchify(patches, patch):
    b, grid = patches.shape[0], eager.RESOLUTION // patch
    return patches.view(b, grid, grid, 3, patch, patch).permute(0, 3, 1, 4, 2, 5).reshape(b, 3, grid * patch, -1)


def sample(model, captions, steps=20, guidance=3.0):
    """Euler's method with guidance, both halves in one batch: captions -> images."""
    x = torch.randn(len(captions), *model.positions.shape[:1], model.patch_in.in_features)
    both = torch.cat([captions, torch.zeros_like(captions)])
    for i in range(steps):
        t = 1 - i / steps
        twice = torch.cat([x, x])
        velocity = (twice - model(twice, torch.full((len(twice),), t), both)) / t
        captioned, free = velocity.chunk(2)
        x = x - torch.lerp(free, captioned, guidance) / steps
    return unpatchify(x, 4)


def main():
    args = eager.arguments("width", "depth")
    model = Dit(args.width, args.depth, heads=max(1, args.width // 32)).to(args.device)
    if args.images:
        return eager.draw(args, model, lambda captions: sample(model, captions))

    def loss(images, tokens):
        clean = patchify(images, 4)
        t = 0.05 + 0.95 * (torch.arange(args.batch) + torch.rand(args.batch)) / args.batch
        noise = torch.randn_like(clean)
        target = noise - clean
        between = clean + t[:, None, None] * target
        velocity = (between - model(between, t, tokens)) / t.clamp_min(0.05)[:, None, None]
        return F.mse_loss(velocity, target)

    return eager.train(args, model, loss, learning_rate=1e-3, weight_decay=0.01)


if __name__ == "__main__":
    main()
