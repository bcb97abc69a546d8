"""TorchScript teachers with every form of output, valid and invalid.

torchscript.py FOLDER   writes NAME.pt files, inputs.safetensors, and PyTorch's outputs NAME.features and
                        NAME.logits to outputs.safetensors
"""

import sys
from pathlib import Path
from typing import Dict, List, Tuple

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

torch.save(made(Pair).state_dict(), FOLDER / "weights.pt")
save_file(inputs, FOLDER / "inputs.safetensors")
save_file(outputs, FOLDER / "outputs.safetensors")
