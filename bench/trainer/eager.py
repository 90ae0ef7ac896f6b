"""What the PyTorch twins of our families share: the transformer block, the caption's embedding and the training loop.

Plain eager PyTorch, as a researcher would write it. Random scenes stand for real ones; the arithmetic is the same.
"""
import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

WORDS, LENGTH = 22, 8
SCENES, RESOLUTION = 20000, 16


def norm(width):
    return nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)


class Block(nn.Module):
    """A transformer block with AdaLN: [B, T, w] and a condition [B, w] -> [B, T, w]."""

    def __init__(self, width, heads, ratio=4):
        super().__init__()
        self.heads = heads
        self.norm1 = norm(width)
        self.norm2 = norm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, ratio * width)
        self.down = nn.Linear(ratio * width, width)
        self.modulation = nn.Linear(width, 6 * width)

    def scores(self, q, k):
        return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])

    def forward(self, x, condition, past=None):
        """`past`: keys and values of the tokens before x, gains those of x."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        b, t, w = x.shape
        qkv = self.qkv(self.norm1(x) * (1 + scale1) + shift1)
        q, k, v = qkv.view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            past[:] = k, v
        p = torch.softmax(self.scores(q, k), -1)
        x = x + gate1 * self.out((p @ v).transpose(1, 2).reshape(b, t, w))
        return x + gate2 * self.down(F.gelu(self.up(self.norm2(x) * (1 + scale2) + shift2), approximate="tanh"))


class Head(nn.Module):
    """Norm, AdaLN and the last linear layer."""

    def __init__(self, width, out):
        super().__init__()
        self.norm = norm(width)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, out)

    def forward(self, x, condition):
        shift, scale = self.modulation(condition).unsqueeze(1).chunk(2, -1)
        return self.out(self.norm(x) * (1 + scale) + shift)


class TextEncoder(nn.Module):
    """A vector for each (place, word), summed over the caption, then two layers: [B, LENGTH] -> [B, w]."""

    def __init__(self, width):
        super().__init__()
        self.table = nn.Parameter(torch.randn(LENGTH * WORDS, width))
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, tokens):
        rows = tokens + torch.arange(LENGTH) * WORDS
        return self.layers(F.embedding(rows, self.table).sum(1))


def arguments(*sizes):
    """The command line: `sizes`, which say what to build, and how to time it. Sets torch up accordingly."""
    parser = argparse.ArgumentParser()
    for name in (*sizes, "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, help="train so many steps")
    parser.add_argument("--images", type=int, help="or draw so many images at once")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts, in drawing")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="on cuda under bf16 autocast")
    args = parser.parse_args()
    if args.device == "cuda":
        torch.set_default_device("cuda")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    return args


def train(args, model, loss_of, learning_rate, weight_decay):
    """Times whole steps, data to weight average, and prints one JSON line.

    loss_of: images [B, 3, R, R] in [-1, 1] and captions [B, LENGTH], a tenth of them dropped -> scalar
    """
    now = time.perf_counter if args.clock == "wall" else time.process_time
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
              {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99))
    pool = torch.randint(0, 256, (SCENES, 3, RESOLUTION, RESOLUTION), dtype=torch.uint8)
    captions = torch.randint(0, WORDS, (SCENES, LENGTH))

    def step():
        rows = torch.randint(0, len(pool), (args.batch,))
        images = pool[rows].float() * (2 / 255) - 1
        with torch.autocast(args.device, torch.bfloat16, enabled=args.device == "cuda"):
            loss = loss_of(images, captions[rows] * (torch.rand(args.batch, 1) >= 0.1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
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
    print(json.dumps({"seconds_per_step": seconds / args.steps, "params": sum(p.numel() for p in parameters)}))


def draw(args, model, sample):
    """Times sample(captions [images, LENGTH]) and prints one JSON line."""
    captions = torch.randint(1, WORDS, (args.images, LENGTH))
    model.eval()
    wall, cpu = [], []
    with torch.no_grad():
        sample(captions)
        for _ in range(args.rounds):
            begin, used = time.perf_counter(), time.process_time()
            sample(captions)
            wall.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - used)
    print(json.dumps({"wall": min(wall) / args.images, "cpu": min(cpu) / args.images,
                      "params": sum(p.numel() for p in model.parameters())}))
