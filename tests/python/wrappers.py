"""The weights of one network inside PyTorch's wrappers.

wrappers.py FOLDER   writes plain.safetensors and NAME.safetensors for each wrapper, and prints the names
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file, save_model
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

FOLDER = Path(sys.argv[1])
torch.manual_seed(11)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.bn = nn.Linear(3, 2), nn.BatchNorm2d(2)


class Lightning(nn.Module):
    """As a LightningModule, which is not installed: the network is an attribute."""

    def __init__(self, model):
        super().__init__()
        self.model = model


def inside(net, wrapper):
    """`net` with one wrapped layer."""
    net.fc = wrapper(net.fc)
    return net


state = Net().state_dict()
state["bn.running_var"] += 1


def made():
    net = Net()
    net.load_state_dict(state)
    return net


save_file(state, FOLDER / "plain.safetensors")
save_model(made(), str(FOLDER / "saved_model.safetensors"))
dist.init_process_group("gloo", init_method=f"file://{FOLDER}/store", rank=0, world_size=1)
wrapped = {
    "data_parallel": nn.DataParallel(made()),
    "distributed": DistributedDataParallel(made()),
    "compiled": torch.compile(made()),
    "averaged": AveragedModel(made()),
    "averaged_compiled": AveragedModel(torch.compile(made())),
    "compiled_distributed": torch.compile(DistributedDataParallel(made())),
    "lightning": Lightning(torch.compile(made())),
    "inside": inside(made(), nn.DataParallel),
    "checkpointed": inside(made(), checkpoint_wrapper),
}
dist.destroy_process_group()
for name, net in wrapped.items():
    tensors = {key: value.clone() for key, value in net.state_dict().items()}
    save_file(tensors, FOLDER / f"{name}.safetensors")
print("\n".join([*wrapped, "saved_model"]))
