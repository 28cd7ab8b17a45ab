"""torch.compile: Inductor's plan of memory, Triton's kernels compiled for the GPU and never launched."""
import torch
from torch import nn

width = 1024
model = nn.Sequential(*[
    nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
    for _ in range(4)
]).cuda()
compiled = torch.compile(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(10):
    x = torch.randn(64, 1024, width, device="cuda")
    loss = (compiled(x) - x).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
