"""TorchScript teachers with every form of output, valid and invalid.

torchscript.py FOLDER   writes NAME.pt files, inputs.safetensors, and PyTorch's outputs NAME.features and
                        NAME.logits to outputs.safetensors
"""

import sys
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

FOLDER = Path(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(5)


class Net(nn.Module):
    """Batch norm and dropout, which differ between training and evaluation, between linear layers."""

    def __init__(self):
        super().__init__()
        self.net, self.bn = nn.Linear(5, 4), nn.BatchNorm1d(4)
        self.drop, self.classifier = nn.Dropout(0.5), nn.Linear(4, 3)

    def encode(self, x: Tensor) -> Tensor:
        return self.drop(torch.relu(self.bn(self.net(x))))


class Pair(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        features = self.encode(x)
        return features, self.classifier(features)


class Both(Net):
    def forward(self, x: Tensor) -> List[Tensor]:
        features = self.encode(x)
        return [features, self.classifier(features)]


class Named(Net):
    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        features = self.encode(x)
        return {"logits": self.classifier(features), "features": features, "extra": x}


class Renamed(Net):
    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        features = self.encode(x)
        return {"embedding": features, "scores": self.classifier(features)}


class Method(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.encode(x))

    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        return self.encode(x)


class Unmarked(Net):
    """For `torch.jit.trace_module`, which rejects methods marked for export."""

    def forward(self, x):
        return self.classifier(self.encode(x))

    def features(self, x):
        return self.encode(x)


class Three(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        features = self.encode(x)
        return features, self.classifier(features), x


class Text(Net):
    def forward(self, x: Tensor) -> str:
        return "cat"


class Number(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        return self.encode(x), 3


class Flat(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        features = self.encode(x)
        return features, self.classifier(features).sum(1)


class Mixed(Net):
    """Linear layers in half precision around a batch norm in single precision."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        features = torch.relu(self.bn(self.net(x).float())).half()
        return features, self.classifier(features)


class TwoInputs(Net):
    def forward(self, x: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        return x, y


class NoForward(Net):
    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        return self.encode(x)


class Nothing(Net):
    def forward(self, x: Tensor) -> None:
        return None


class Empty(Net):
    def forward(self, x: Tensor) -> List[Tensor]:
        return []


class One(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor]:
        return (x,)


class NoColumns(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return x[:, :0], x


class Labels(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return x, x.argmax(1, keepdim=True)


class Unsigned(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return x.to(torch.uint16), x


class Complex(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, complex]:
        return x, 1j


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        features = self.embedding(x).mean(1)
        return features, features


class Raises(Net):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        if x.size(1) != 7:
            raise ValueError("seven columns are needed")
        return x, x


def made(network, kind=torch.float64, train=False):
    net = network().to(kind)
    with torch.no_grad():
        net.bn.running_mean.copy_(torch.randn(4))
        net.bn.running_var.copy_(torch.rand(4) + 0.5)
    return net.train(train)


inputs = {"double": torch.randn(6, 5, dtype=torch.float64), "float": torch.randn(6, 5)}
outputs = {}


def save(name, net, module, x):
    module.save(str(FOLDER / f"{name}.pt"))
    with torch.no_grad():
        features = net.eval().encode(x)
        outputs[f"{name}.features"] = features.clone()
        outputs[f"{name}.logits"] = net.classifier(features).clone()


x = inputs["double"]
for name, network in {
    "pair": Pair, "both": Both, "named": Named, "renamed": Renamed, "method": Method,
    "three": Three, "text": Text, "number": Number, "flat": Flat,
}.items():
    net = made(network)
    save(name, net, torch.jit.script(net), x)

for name, network in {
    "two_inputs": TwoInputs, "no_forward": NoForward, "nothing": Nothing, "empty": Empty, "one": One,
    "no_columns": NoColumns, "labels": Labels, "unsigned": Unsigned, "complex": Complex, "raises": Raises,
}.items():
    torch.jit.script(made(network)).save(str(FOLDER / f"{name}.pt"))
torch.jit.script(Words()).save(str(FOLDER / "words.pt"))

net = made(Mixed, torch.float16)
net.bn.float()
torch.jit.script(net).save(str(FOLDER / "mixed.pt"))
for name in ["weight", "buffer"]:
    net = made(Pair)
    with torch.no_grad():
        (net.net.weight if name == "weight" else net.bn.running_var)[0] = float("nan")
    torch.jit.script(net).save(str(FOLDER / f"nan_{name}.pt"))

# In training mode: loading switches a script to evaluation, but not a trace.
net = made(Pair, train=True)
save("pair_in_training", net, torch.jit.script(net), x)
net = made(Pair, train=True)
save("traced_in_training", net, torch.jit.trace(net, x, check_trace=False), x)

net = made(Pair)
net.drop.train()
save("dropout_in_training", net, torch.jit.trace(net, x, check_trace=False), x)

net = made(Pair)
save("traced", net, torch.jit.trace(net, x[:2]), x)
net = made(Named)
save("traced_dict", net, torch.jit.trace(net, x[:2], strict=False), x)
net = made(Unmarked)
save("traced_method", net, torch.jit.trace_module(net, {"forward": x[:2], "features": x[:2]}), x)
net = made(Pair)
save("frozen", net, torch.jit.freeze(torch.jit.script(net)), x)
net = made(Method)
kept = torch.jit.freeze(torch.jit.script(net), preserved_attrs=["features"])
save("frozen_method", net, kept, x)

for name, kind in {"half": torch.float16, "bfloat16": torch.bfloat16}.items():
    net = made(Pair, kind)
    save(name, net, torch.jit.script(net), inputs["float"].to(kind))
# Freezing folds the batch norm into the layer, which changes rounding: the frozen module's own output.
half = inputs["float"].half()
kept = torch.jit.freeze(torch.jit.script(made(Pair, torch.float16)))
kept.save(str(FOLDER / "frozen_half.pt"))
with torch.no_grad():
    outputs["frozen_half.features"], outputs["frozen_half.logits"] = kept(half)

state = made(Pair).state_dict()
torch.save(state, FOLDER / "weights.pt")
torch.save(state, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(made(Pair), FOLDER / "module.pt")
torch.export.save(torch.export.export(made(Pair), (x[:2],)), FOLDER / "exported.pt2")
np.savez(FOLDER / "arrays.npz", weight=np.zeros(3))
save_file(inputs, FOLDER / "inputs.safetensors")
save_file(outputs, FOLDER / "outputs.safetensors")
