"""Golden cases from plain PyTorch, for settings that the authors' golden cases do not cover.

case.py SETTINGS.json CASES.json   reads a list of settings, trains with each as the authors' code does,
and writes the list with the numbers of every step.
"""

import json
import math
import sys

import numpy as np
import torch
from torch.nn import functional as F

from networks import Student, Teacher

NAMES = ("audio", "visual")
SHAPES = {
    "CREMAD": ([1, 33, 47], [3, 1, 40, 40], 6),
    "VGGSound": ([1, 33, 47], [3, 2, 40, 40], 309),
    "AVMNIST": ([1, 36, 36], [1, 28, 28], 10),
}


def u(name, shape):
    start = 2166136261
    for byte in name.encode():
        start = ((start ^ byte) * 16777619) % 2**32
    z = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(start)
    z &= np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        z ^= z >> np.uint64(shift)
        z = (z * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    z ^= z >> np.uint64(16)
    return torch.from_numpy(z.astype(np.float64) / 2**32 * 2 - 1).reshape(shape)


def fill(net, name):
    for key, value in net.state_dict().items():
        if not value.is_floating_point():
            continue
        new, fan_in = u(f"{name}/{key}", value.shape), math.prod(value.shape[1:])
        if key.endswith("running_mean"):
            new = torch.zeros_like(value)
        elif key.endswith("running_var"):
            new = torch.ones_like(value)
        elif value.dim() == 1:
            norm = isinstance(net.get_submodule(key.rsplit(".", 1)[0]), torch.nn.BatchNorm2d)
            new = new * 0.1 + (1 if norm and key.endswith("weight") else 0)
        else:
            new = new * math.sqrt(3 / fan_in) * (1 if value.dim() == 4 else 0.5)
        value.copy_(new)
    return net


def norm(module):
    squares = sum(p.grad.pow(2).sum() for p in module.parameters())
    return math.sqrt(squares.item())


def true_class(logits, labels):
    return logits.softmax(1).gather(1, labels[:, None]).sum().item()


def kappas(case, teacher_scores, scores):
    if case["modulation"] == "G2D":
        return [0.0, 1.0] if teacher_scores[0] > teacher_scores[1] else [1.0, 0.0]
    ratio = scores[1] / scores[0]
    if ratio > 1:
        return [1.0, 1 - math.tanh(case["alpha"] * ratio)]
    return [1 - math.tanh(case["alpha"] / ratio), 1.0]


def train(case):
    *shapes, classes = SHAPES[case["dataset"]]
    weights, batch = case["weights"], case["batch"]
    with torch.no_grad():
        student = fill(Student(case["fusion"], [s[0] for s in shapes], classes), "student")
        teachers = [
            fill(Teacher(s[0], classes), f"{n}_teacher").eval() for n, s in zip(NAMES, shapes)
        ]
    nets = [student.audio_net, student.visual_net]
    sgd = torch.optim.SGD(
        student.parameters(), case["lr"], case["momentum"], weight_decay=case["weight_decay"]
    )
    for t, step in enumerate(case["steps"]):
        inputs = [u(f"input/{n}/{t}", [batch, *s]) for n, s in zip(NAMES, shapes)]
        labels = torch.tensor([(3 * i + t) % classes for i in range(batch)])
        with torch.no_grad():
            outputs = [teacher(x) for teacher, x in zip(teachers, inputs)]
        *features, logits = student(*inputs)
        step["task"] = loss = F.cross_entropy(logits, labels)
        for n, (feature, teacher_logits), own in zip(NAMES, outputs, features):
            T = case[f"temperature_{n}"]
            kl = F.kl_div(
                F.log_softmax(logits / T, 1), F.softmax(teacher_logits / T, 1), reduction="batchmean"
            )
            step[f"logit_{n}"], step[f"feature_{n}"] = kl * T * T, F.mse_loss(own, feature)
            for term in ("logit", "feature"):
                loss = loss + weights[f"{term}_{n}"] * step[f"{term}_{n}"]
        step["loss"] = loss
        sgd.zero_grad()
        loss.backward()
        with torch.no_grad():
            unimodal = student.fusion_module.unimodal(*features)
        scores = [true_class(z, labels) for z in unimodal]
        teacher_scores = [true_class(z, labels) for _, z in outputs]
        inside = case["modulation_starts"] <= step["epoch"] <= case["modulation_ends"]
        kappa = [1.0, 1.0]
        if inside and case["modulation"] != "Normal":
            kappa = kappas(case, teacher_scores, scores)
        step["grad_norm_before_fusion"] = norm(student.fusion_module)
        step["logits_row0"] = logits[0, :6].tolist()
        for m, n in enumerate(NAMES):
            step[f"kappa_{n}"] = kappa[m]
            step[f"teacher_confidence_{n}"] = teacher_scores[m] / batch
            step[f"student_confidence_{n}"] = scores[m] / batch
            step[f"{n}_logits_row0"] = unimodal[m][0, :6].tolist()
            step[f"grad_norm_before_{n}"] = norm(nets[m])
            for parameter in nets[m].parameters():
                if parameter.dim() == 4:
                    parameter.grad *= kappa[m]
            step[f"grad_norm_after_{n}"] = norm(nets[m])
        sgd.step()
        step.update({k: v.item() for k, v in step.items() if isinstance(v, torch.Tensor)})
    case["final_abs_sum"] = {
        key: value.abs().sum().item()
        for key, value in student.state_dict().items()
        if value.is_floating_point()
    }
    return case


torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
cases = [train(case) for case in json.load(open(sys.argv[1]))]
json.dump(cases, open(sys.argv[2], "w"))
