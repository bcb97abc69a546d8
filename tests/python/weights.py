"""Weights in files from and for PyTorch.

weights.py save FOLDER   saves the weights of a student and a teacher, inputs, and their logits
weights.py load FOLDER   loads the weights that Rust has saved, strictly, and saves their logits
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from networks import Student, Teacher

CHANNELS, CLASSES = (1, 3), 6
torch.set_num_threads(1)
command, folder = sys.argv[1], Path(sys.argv[2])
student, teacher = Student("late", CHANNELS, CLASSES), Teacher(CHANNELS[0], CLASSES)


def logits_of(inputs):
    with torch.no_grad():
        student.eval(), teacher.eval()
        logits = student(inputs["audio"], inputs["visual"])[2]
        return {"student": logits.clone(), "teacher": teacher(inputs["audio"])[1].clone()}


if command == "save":
    torch.manual_seed(7)
    student, teacher = Student("late", CHANNELS, CLASSES), Teacher(CHANNELS[0], CLASSES)
    inputs = {"audio": torch.randn(4, 1, 33, 47), "visual": torch.randn(4, 3, 2, 40, 40)}
    for _ in range(3):  # sets the running statistics
        student(inputs["audio"], inputs["visual"]), teacher(inputs["audio"])
    save_file(inputs, folder / "inputs.safetensors")
    save_file(logits_of(inputs), folder / "logits.safetensors")
    save_file(student.state_dict(), folder / "student.safetensors")
    parallel = {f"module.{name}": value for name, value in teacher.state_dict().items()}
    save_file(parallel, folder / "teacher.safetensors")
else:
    student.load_state_dict(load_file(folder / "student_rs.safetensors"), strict=True)
    teacher.load_state_dict(load_file(folder / "teacher_rs.safetensors"), strict=True)
    inputs = load_file(folder / "inputs.safetensors")
    save_file(logits_of(inputs), folder / "logits_of_saved.safetensors")
