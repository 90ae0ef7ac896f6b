"""A PyTorch script as one would write it: an MLP learns to tell Fashion-MNIST's classes apart.

Five lines, numbered, make it a trainer of scalelaw. By hand: python3 examples/own_pytorch.py (Debian's python3-torch).
"""
import gzip

import torch

import scalelaw  # 1: added

FOLDER = "/usr/share/datasets/fashion-mnist"


def load(split):
    with gzip.open(f"{FOLDER}/{split}-images-idx3-ubyte.gz") as file:
        pixels = torch.frombuffer(bytearray(file.read()[16:]), dtype=torch.uint8)
    with gzip.open(f"{FOLDER}/{split}-labels-idx1-ubyte.gz") as file:
        labels = torch.frombuffer(bytearray(file.read()[8:]), dtype=torch.uint8)
    return pixels.view(-1, 784).float() / 255, labels.long()


batch = 64
width = scalelaw.param("width", 32)  # 2: was 32
torch.manual_seed(scalelaw.seed)  # 3: was 1
model = torch.nn.Sequential(torch.nn.Linear(784, width), torch.nn.GELU(), torch.nn.Linear(width, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images, labels = load("train")
test_images, test_labels = load("t10k")

for step in scalelaw.steps(model, batch=batch, default=500):  # 4: was range(500)
    chosen = torch.randint(len(images), (batch,))
    loss = torch.nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    val_loss = torch.nn.functional.cross_entropy(model(test_images), test_labels)
print(f"width {width}: validation loss {val_loss:.4f}")
scalelaw.log(val_loss=val_loss)  # 5: added
