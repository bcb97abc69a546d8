"""Balanced training in plain PyTorch: the numbers of tests/suite/calibration/python.rs, as JSON."""

import json
import math

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def wave(phase, *shape):
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(phase + steps).reshape(shape)


def terms(labels, divergence):
    """Head terms of teachers and of labels, and the ensemble term, with their weights."""
    z = [wave(0.4 + 2.0 * m, 5, 4).requires_grad_() for m in range(3)]
    l = (2 * wave(0.1, 5, 4)).requires_grad_()
    t = [3 * wave(0.6 + m, 5, 4) for m in range(3)]
    heads = [divergence(a, b, T) for a, b, T in zip(t, z, [1.0, 4.0, 2.5])]
    own = [labels(a) for a in z]
    found = {"head": heads, "labels": own}
    total = 0.5 * heads[0] + 2 * heads[1] + heads[2] + labels(l)
    if divergence is not squared:
        found["ensemble"] = divergence(t[0] / 0.5 + t[1] / 2.0 + t[2] / 1.5, l, 3.0)
        total = total + 0.7 * found["ensemble"]
    found["total"] = total
    total.backward()
    found["gradients"] = [x.grad.square().sum() for x in [l, *z]]
    return found


def softmax_kl(t, s, T):
    log_s, log_t = F.log_softmax(s / T, 1), F.log_softmax(t / T, 1)
    return T * T * F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def bernoulli_kl(t, s, T):
    t, s = (torch.distributions.Bernoulli(logits=x / T) for x in (t, s))
    return T * T * torch.distributions.kl_divergence(t, s).sum(1).mean()


def squared(t, s, T):
    return F.mse_loss(s, t)


def minimise(value, start):
    """L-BFGS, then Newton's method."""
    x = torch.tensor(start, requires_grad=True)
    lbfgs = torch.optim.LBFGS([x], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        lbfgs.zero_grad()
        loss = value(x)
        loss.backward()
        return loss

    lbfgs.step(closure)
    x = x.detach()
    for _ in range(10):
        hessian = torch.autograd.functional.hessian(value, x)
        gradient = torch.autograd.functional.jacobian(value, x)
        x = x - torch.linalg.solve(hessian, gradient)
    return x.tolist(), value(x)


def logits(n, phase, scale):
    return (wave(phase, n, 3) + 0.6 * F.one_hot(torch.arange(n) % 3, 3)) * scale


def temperature(l, y):
    (inverse,), nll = minimise(lambda s: F.cross_entropy(l * s, y), [1.0])
    return 1 / inverse, nll


def calibration():
    y = torch.arange(40) % 3
    teachers = [logits(40, 0.0, 2.0), logits(40, 1.1, 30.0)]
    fitted = [temperature(l, y) for l in teachers]
    p = [F.softmax(l / t, 1)[range(40), y].mean() for l, (t, _) in zip(teachers, fitted)]
    return {
        "temperature": [t for t, _ in fitted],
        "nll": [nll for _, nll in fitted],
        "confidence": p,
        "information": [1 - nll / math.log(3) for _, nll in fitted],
    }


def mixture():
    y = torch.arange(40) % 3
    z, heads = logits(40, 0.2, 2.0), [logits(40, 1.3, 1.5), logits(40, 2.4, 9.0)]
    t, _ = temperature(z, y)
    own = [temperature(head, y)[0] for head in heads]
    total = sum(head / t for head, t in zip(heads, own))
    (alpha,), nll = minimise(lambda a: F.cross_entropy(a * z / t + (1 - a) * total, y), [0.5])
    return {"alpha": alpha, "fused": t, "heads": own, "nll": nll}


def robust():
    """A head that is confidently wrong on every seventh sample."""
    y = torch.arange(40) % 3
    l = 2.2 * F.one_hot(y, 3) + 2 * wave(0.2, 40, 3)
    wrong = torch.arange(40) % 7 == 3
    l[wrong] = 20.0 * F.one_hot((y + 1) % 3, 3)[wrong].double()

    def nll(x):
        p = F.softmax(l * x[0].exp(), 1)[range(40), y]
        e = torch.sigmoid(x[1])
        return -torch.log((1 - e) * p + e / 3).mean()

    (log_s, logit), value = minimise(nll, [0.0, -1.5])
    return {
        "temperature": math.exp(-log_s),
        "epsilon": 1 / (1 + math.exp(-logit)),
        "nll": value,
        "logits": l,
    }


classes = torch.tensor([2, 0, 3, 1, 2])
one_hot = F.one_hot(classes, 4).double()
print(
    json.dumps(
        {
            "single": terms(lambda z: F.cross_entropy(z, classes), softmax_kl),
            "multi": terms(lambda z: F.binary_cross_entropy_with_logits(z, one_hot), bernoulli_kl),
            "regression": terms(lambda z: F.mse_loss(z, wave(0.8, 5, 4)), squared),
            "calibration": calibration(),
            "mixture": mixture(),
            "robust": robust(),
        },
        default=lambda x: x.tolist(),
    )
)
