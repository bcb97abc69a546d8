"""A student in PyTorch, exported with TorchScript, and its training steps.

student.py write FOLDER   writes model.pt (methods of one module), audio.pt, text.pt and fusion.pt (a module
                          each), invalid modules, batches.safetensors, and the gradients, variables and
                          logits of PyTorch's steps to steps.safetensors
student.py read FOLDER    loads what Rust has trained and written (trained.safetensors, trained.pt), and
                          writes the logits of both to read.safetensors
"""

import sys
from pathlib import Path
from typing import List

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STEPS, LR, MOMENTUM = 5, 0.1, 0.9
command, folder = sys.argv[1], Path(sys.argv[2])
torch.set_num_threads(1)
torch.manual_seed(3)
torch.set_default_dtype(torch.float64)


class Audio(nn.Module):
    """Batch norm, so that the mode matters, and a frozen scale."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4))
        self.scale = nn.Parameter(torch.full((4,), 1.5), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.scale


class Text(nn.Module):
    """Token ids with a mask, and two embeddings with one weight."""

    def __init__(self):
        super().__init__()
        self.words, self.again, self.out = nn.Embedding(7, 3), nn.Embedding(7, 3), nn.Linear(3, 2)
        self.again.weight = self.words.weight

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        values = self.words(ids) + self.again(ids).tanh()
        if ids.size(1) > 1:  # a branch, which a trace would lose
            values = values * mask.unsqueeze(-1)
        return self.out(values.sum(1) / mask.sum(1, keepdim=True))


class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, features: List[Tensor]) -> Tensor:
        return self.fc(torch.cat(features, 1))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.audio, self.text, self.fusion = Audio(), Text(), Fusion()
        self.audio_head, self.text_head = nn.Linear(4, 3), nn.Linear(2, 3)

    @torch.jit.export
    def encode_audio(self, x: Tensor) -> Tensor:
        return self.audio(x)

    @torch.jit.export
    def encode_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.text(ids, mask)

    @torch.jit.export
    def fuse(self, audio: Tensor, text: Tensor) -> Tensor:
        return self.fusion([audio, text])

    @torch.jit.export
    def predict_audio(self, features: Tensor) -> Tensor:
        return self.audio_head(features)

    @torch.jit.export
    def predict_text(self, features: Tensor) -> Tensor:
        return self.text_head(features)

    def forward(self, x: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.fuse(self.encode_audio(x), self.encode_text(ids, mask))


class Invalid(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) != 5:
            raise ValueError("five columns are needed")
        return self.fc(x)

    @torch.jit.export
    def pair(self, x: Tensor):
        return self.fc(x), x

    @torch.jit.export
    def text(self, x: Tensor) -> str:
        return "cat"


def logits_of(model, batches):
    x, ids, mask = batches["audio"], batches["ids"], batches["mask"]
    with torch.no_grad():
        return model.eval()(x[0], ids[0], mask[0]).clone()


if command == "write":
    model = Model()
    torch.jit.script(model.eval()).save(str(folder / "model.pt"))
    x = torch.randn(STEPS, 6, 5)
    ids = torch.randint(7, (STEPS, 6, 4))
    mask = torch.rand(STEPS, 6, 4) > 0.3
    mask[:, :, 0] = True
    labels = torch.randint(3, (STEPS, 6))
    batches = {"audio": x, "ids": ids, "mask": mask.double(), "labels": labels}
    save_file(batches, folder / "batches.safetensors")
    # Traced in training mode, which a trace keeps; scripted.
    traced = torch.jit.trace(model.audio.train(), x[0], check_trace=False)
    model.audio.net[1].reset_running_stats()  # tracing has updated them
    traced.save(str(folder / "audio.pt"))
    torch.jit.script(model.text).save(str(folder / "text.pt"))
    torch.jit.script(model.fusion).save(str(folder / "fusion.pt"))
    torch.jit.script(Invalid()).save(str(folder / "invalid.pt"))

    found = {}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], LR, MOMENTUM)
    for step in range(STEPS):
        model.train()
        optimizer.zero_grad()
        logits = model(x[step], ids[step], batches["mask"][step])
        nn.functional.cross_entropy(logits, labels[step]).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                found[f"gradient{step}.{name}"] = parameter.grad.clone()
        optimizer.step()
        for name, value in model.state_dict().items():
            found[f"variable{step}.{name}"] = value.clone()
    found["logits"] = logits_of(model, batches)
    save_file(found, folder / "steps.safetensors")
else:
    batches = load_file(folder / "batches.safetensors")
    model = Model()
    model.load_state_dict(load_file(folder / "trained.safetensors"), strict=True)
    script = torch.jit.load(str(folder / "trained.pt"))
    assert not script.training
    found = {"weights": logits_of(model, batches), "script": logits_of(script, batches)}
    save_file(found, folder / "read.safetensors")
