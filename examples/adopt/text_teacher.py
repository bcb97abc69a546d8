"""Trains the teacher of the text, a bag of words, and exports it: python text_teacher.py text.pt"""

import sys

import torch
from torch import nn

CLASSES, WIDTH, WORDS = 6, 32, 40


class Teacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor):
        features = (self.words(ids) * mask.unsqueeze(2)).sum(1) / lengths.unsqueeze(1)
        return features, self.head(features)


def sentences(count):
    """Sentences of four words, of which the first is that of the class in half of the cases."""
    labels = torch.arange(count) % CLASSES
    ids = torch.randint(1 + CLASSES, WORDS, (count, 4))
    clear = torch.randint(2, (count,)) == 1
    ids[clear, 0] = 1 + labels[clear]
    return ids, labels


torch.manual_seed(1)
model = Teacher()
optimizer = torch.optim.Adam(model.parameters(), 0.05)
mask, lengths = torch.ones(60, 4, dtype=torch.bool), torch.full((60,), 4)
for _ in range(60):
    ids, labels = sentences(60)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(ids, mask, lengths)[1], labels).backward()
    optimizer.step()
torch.jit.script(model.eval()).save(sys.argv[1])
