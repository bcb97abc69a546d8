"""Runs an exported student.

exported.py FOLDER   runs every method of student.pt on inputs.safetensors, on 1, 3 and all samples, and
                     writes the outputs to outputs.safetensors
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

folder = Path(sys.argv[1])
torch.set_num_threads(1)
inputs = load_file(folder / "inputs.safetensors")
model = torch.jit.load(str(folder / "student.pt")).eval()
assert not any(module.training for module in model.modules())
outputs = {}
for size in [1, 3, len(inputs["audio"])]:
    batch = {name: value[:size] for name, value in inputs.items()}
    for _ in range(3):  # TorchScript optimises in the first calls
        with torch.no_grad():
            outputs[f"forward{size}"] = model(**batch).contiguous().clone()
            for name in ["features", "unimodal_logits"]:
                for m, value in enumerate(getattr(model, name)(**batch)):
                    outputs[f"{name}{size}.{m}"] = value.contiguous().clone()
save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, folder / "state.safetensors")
# Gradients flow: the module can be trained further.
model(**inputs).sum().backward()
assert all(p.grad is not None for n, p in model.named_parameters() if "head" not in n)
save_file(outputs, folder / "outputs.safetensors")
