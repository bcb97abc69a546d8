"""The authors' networks in plain PyTorch, with their parameter names."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [64, 64, 128, 256, 512]
        for i in range(1, 5):
            blocks = [
                Block(widths[i - 1], widths[i], 1 if i == 1 else 2),
                Block(widths[i], widths[i], 1),
            ]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))

    def forward(self, x):
        """[B, C, H, W], or [B, C, T, H, W] pooled over time too, to [B, 512]."""
        batch = x.shape[0]
        if x.dim() == 5:
            x = x.permute(0, 2, 1, 3, 4).flatten(0, 1)
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = x.view(batch, -1, *x.shape[1:]).permute(0, 2, 1, 3, 4)
        return nn.functional.adaptive_avg_pool3d(x, 1).flatten(1)


class Fusion(nn.Module):
    """`forward` returns the features to distil and the logits; `unimodal` returns the unimodal logits."""

    def __init__(self, kind, classes, width=512):
        super().__init__()
        self.kind = kind
        if kind in ("sum", "late"):
            self.fc_x, self.fc_y = nn.Linear(width, classes), nn.Linear(width, classes)
        elif kind == "concat":
            self.fc_out = nn.Linear(2 * width, classes)
        elif kind == "film":
            self.fc, self.fc_out = nn.Linear(width, 2 * width), nn.Linear(width, classes)
        elif kind == "gated":
            self.fc_x, self.fc_y = nn.Linear(width, width), nn.Linear(width, width)
            self.fc_out = nn.Linear(width, classes)

    def forward(self, x, y):
        if self.kind == "sum":
            return x, y, self.fc_x(x) + self.fc_y(y)
        if self.kind == "late":
            return x, y, (self.fc_x(x) + self.fc_y(y)) / 2
        if self.kind == "concat":
            return x, y, self.fc_out(torch.cat((x, y), 1))
        if self.kind == "film":
            gamma, beta = torch.split(self.fc(x), x.shape[1], 1)
            return x, y, self.fc_out(gamma * y + beta)
        x, y = self.fc_x(x), self.fc_y(y)
        return x, y, self.fc_out(torch.sigmoid(x) * y)

    def unimodal(self, x, y):
        """The unimodal logits of the features that `forward` returned."""
        if self.kind == "sum":
            return [z @ fc.weight.T + fc.bias / 2 for z, fc in ((x, self.fc_x), (y, self.fc_y))]
        if self.kind == "late":
            return [self.fc_x(x), self.fc_y(y)]
        out, half = self.fc_out.weight, self.fc_out.bias / 2
        if self.kind == "concat":
            w = x.shape[1]
            return [x @ out[:, :w].T + half, y @ out[:, w:].T + half]
        if self.kind == "film":
            parts = [(z, *torch.split(self.fc(z), z.shape[1], 1)) for z in (x, y)]
            return [(gamma * z + beta) @ out.T + half for z, gamma, beta in parts]
        return [z @ out.T + half for z in (x, y)]


class Student(nn.Module):
    def __init__(self, kind, channels, classes):
        super().__init__()
        self.audio_net, self.visual_net = ResNet18(channels[0]), ResNet18(channels[1])
        self.fusion_module = Fusion(kind, classes)

    def forward(self, audio, visual):
        return self.fusion_module(self.audio_net(audio), self.visual_net(visual))


class Teacher(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.net, self.classifier = ResNet18(channels), nn.Linear(512, classes)

    def forward(self, x):
        features = self.net(x)
        return features, self.classifier(features)
