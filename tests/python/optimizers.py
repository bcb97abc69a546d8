"""The numbers of tests/suite/optim/reference_values.rs: 100 steps of PyTorch's optimizers on a small loss."""

import torch

ALGORITHMS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01, nesterov=True),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, dampening=0.3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=0.1),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.5, 0.9), eps=1e-6, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
}


def scheduled(optimizer, step):
    """StepLR(30, 0.5) after a linear warm-up of 5 steps."""
    for group in optimizer.param_groups:
        base = group.setdefault("base", group["lr"])
        group["lr"] = base * ((step + 1) / 5 if step < 5 else 0.5 ** ((step - 5) // 30))


for name, make in ALGORITHMS.items():
    w = torch.tensor([[-0.2, -0.1], [0.0, 0.1], [0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    optimizer = make([w, b])
    for step in range(100):
        scheduled(optimizer, step)
        optimizer.zero_grad()
        loss = ((w - 1.0) ** 2).sum() + 0.1 * (w**4).sum()
        if step % 3 == 1:  # in other steps b has no gradient
            loss = loss + ((b + w.sum()) ** 2).sum()
        loss.backward()
        optimizer.step()
    values = torch.cat([w.detach().flatten(), b.detach()]).tolist()
    print(f'("{name}", [{", ".join(repr(v) for v in values)}]),')
