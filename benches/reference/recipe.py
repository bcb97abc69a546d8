"""The authors' whole recipe on a folder in the layout of AV-MNIST, in plain PyTorch.

recipe.py DATA EPOCHS STAGE SEED THREADS   trains an audio teacher, an image teacher and a G²D student
whose stronger encoder is suppressed in the first STAGE epochs; prints one line of JSON with the test
accuracies and the seconds of each training.

As in the authors' code: samples are converted one by one, teachers run in every step, backward is complete,
and gradients of the suppressed encoder's 4-D parameters are then multiplied by 0. Unlike it: the
weights of the best epoch are chosen on validation data, scores are summed without loops over samples,
and teachers are read from disk once.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "python"))
from networks import Student, Teacher  # noqa: E402
from step import g2d_loss, summed  # noqa: E402

CLASSES = 10
BATCH = 16


class AvMnist(Dataset):
    def __init__(self, folder, split):
        self.audio = np.load(folder / "audio" / f"{split}_data.npy")
        self.image = np.load(folder / "image" / f"{split}_data.npy")
        self.labels = np.load(folder / f"{split}_labels.npy")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        audio = torch.from_numpy(self.audio[i] / 255.0).float().unsqueeze(0)
        image = torch.from_numpy(self.image[i] / 255.0).float().reshape(1, 28, 28)
        return audio, image, int(self.labels[i])


def initialise(module):
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)


def accuracy(predict, loader):
    correct = total = 0
    with torch.no_grad():
        for audio, image, labels in loader:
            correct += (predict(audio, image).argmax(1) == labels).sum().item()
            total += len(labels)
    return 100.0 * correct / total


def fit(model, predict, step, loaders, epochs):
    """Trains `model` and keeps the weights of its best epoch on validation data; its test accuracy."""
    best, weights = -1.0, None
    for epoch in range(epochs):
        model.train()
        for batch in loaders["train"]:
            step(epoch, *batch)
        model.eval()
        found = accuracy(predict, loaders["val"])
        if found > best:
            best = found
            weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return accuracy(predict, loaders["test"])


def train_teacher(m, loaders, epochs):
    teacher = Teacher(1, CLASSES).apply(initialise)
    optimizer = sgd(teacher)

    def step(_epoch, *batch):
        optimizer.zero_grad()
        loss = F.cross_entropy(teacher(batch[m])[1], batch[2])
        loss.backward()
        optimizer.step()
        return loss.item()

    return teacher, fit(teacher, lambda *inputs: teacher(inputs[m])[1], step, loaders, epochs)


def train_student(teachers, loaders, epochs, stage):
    student = Student("late", [1, 1], CLASSES).apply(initialise)
    optimizer = sgd(student)
    for teacher in teachers:
        teacher.eval().requires_grad_(False)

    def step(epoch, audio, image, labels):
        optimizer.zero_grad()
        with torch.no_grad():
            outputs = [teacher(x) for teacher, x in zip(teachers, (audio, image))]
        *features, logits = student(audio, image)
        loss = g2d_loss(logits, features, outputs, labels)
        loss.backward()
        if epoch < stage:
            score = [summed(z, labels) for _, z in outputs]
            stronger = "audio_net" if score[0] > score[1] else "visual_net"
            for name, parameter in student.named_parameters():
                if name.split(".")[0] == stronger and parameter.dim() == 4:
                    parameter.grad *= 0.0
        optimizer.step()
        return loss.item()

    return fit(student, lambda *inputs: student(*inputs)[2], step, loaders, epochs)


def main():
    folder, (epochs, stage, seed, threads) = Path(sys.argv[1]), map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    loaders = {
        split: DataLoader(AvMnist(folder, split), BATCH, shuffle=split == "train")
        for split in ("train", "val", "test")
    }
    found, seconds, teachers = {}, {}, []
    for m, name in enumerate(("audio", "image")):
        start = time.perf_counter()
        teacher, found[name] = train_teacher(m, loaders, epochs)
        teachers.append(teacher)
        seconds[name] = time.perf_counter() - start
    start = time.perf_counter()
    found["student"] = train_student(teachers, loaders, epochs, stage)
    seconds["student"] = time.perf_counter() - start
    print(json.dumps({"accuracy": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
