"""The authors' training step on CREMA-D in plain PyTorch, one step at a time.

step.py THREADS BATCH FREQUENCIES COLUMNS SIDE   prints "ready", then runs one step for every line
"VARIANT PHASE" on stdin and prints its duration in seconds: wall-clock time and CPU time.

VARIANT  authors    teachers run in every step, backward is complete, gradients are multiplied
                    afterwards, and the scores of teachers and of unimodal logits are summed in a
                    loop over samples
         fair       the same with vectorised scores, of the teachers only
         fair_bf16  the same as fair, with the networks under autocast to bfloat16
PHASE    suppressed, joint
"""

import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "python"))
from networks import Student, Teacher  # noqa: E402

CLASSES = 6


def inputs(batch, frequencies, columns, side):
    audio = torch.randn(batch, 1, frequencies, columns)
    visual = torch.randn(batch, 3, 1, side, side)
    return audio, visual, torch.randint(0, CLASSES, (batch,))


def summed_by_sample(logits, labels):
    return sum(F.softmax(logits, dim=1)[i][labels[i]] for i in range(len(labels)))


def summed(logits, labels):
    return F.softmax(logits, dim=1).gather(1, labels[:, None]).sum()


def g2d_loss(logits, features, outputs, labels):
    """L_G2D; `outputs` are the features and logits of each teacher."""
    loss = F.cross_entropy(logits, labels)
    for (feature, teacher_logits), own in zip(outputs, features):
        loss = loss + F.mse_loss(own, feature)
        loss = loss + F.kl_div(
            F.log_softmax(logits, 1), F.softmax(teacher_logits, 1), reduction="batchmean"
        )
    return loss


class Run:
    def __init__(self, *shape):
        torch.manual_seed(1)
        self.batches = [inputs(*shape) for _ in range(4)]
        self.student = Student("late", [1, 3], CLASSES).train()
        self.teachers = [Teacher(channels, CLASSES).eval() for channels in (1, 3)]
        for teacher in self.teachers:
            teacher.requires_grad_(False)
        self.sgd = torch.optim.SGD(
            self.student.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4
        )
        self.steps = 0

    def step(self, variant, phase):
        audio, visual, labels = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        bf16 = variant == "fair_bf16"
        cast = torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext()
        self.sgd.zero_grad()
        with cast:
            with torch.no_grad():
                outputs = [teacher(x) for teacher, x in zip(self.teachers, (audio, visual))]
            *features, logits = self.student(audio, visual)
        outputs = [(f.float(), z.float()) for f, z in outputs]
        features, logits = [f.float() for f in features], logits.float()
        loss = g2d_loss(logits, features, outputs, labels)
        loss.backward()
        if variant == "authors":
            unimodal = self.student.fusion_module.unimodal(*features)
            for z in unimodal:
                summed_by_sample(z, labels)
            score = [summed_by_sample(z, labels) for _, z in outputs]
        else:
            score = [summed(z, labels) for _, z in outputs]
        if phase == "suppressed":
            stronger = "audio" if score[0] > score[1] else "visual"
            for name, parameter in self.student.named_parameters():
                if name.split(".")[0] == f"{stronger}_net" and parameter.dim() == 4:
                    parameter.grad *= 0.0
        self.sgd.step()
        return loss.item()


def main():
    threads, *shape = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    run = Run(*shape)
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run.step(*line.split())
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main()
