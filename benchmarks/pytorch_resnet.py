"""PyTorch's side of `benchmarks/pytorch_step.py`: run by a Python that has torch.

    TORCH_ENV/bin/python benchmarks/pytorch_resnet.py --images 21 --way channels_last

A ResNet-101 as Keras builds it (strides on the first convolution of a block), without
the biases that batch normalisation undoes unless `--bias` is given.
"""

import argparse

import torch
from torch import nn
from turns import serve

DEPTHS = (3, 4, 23, 3)
WAYS = ("channels_last", "contiguous", "compiled")


class Block(nn.Module):
    """Three convolutions and a shortcut."""

    def __init__(self, entering: int, width: int, stride: int, bias: bool) -> None:
        super().__init__()
        leaving = 4 * width
        self.body = nn.Sequential(
            *normalised(entering, width, 1, stride, bias), nn.ReLU(inplace=True),
            *normalised(width, width, 3, 1, bias), nn.ReLU(inplace=True),
            *normalised(width, leaving, 1, 1, bias),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if stride != 1 or entering != leaving:
            self.shortcut = nn.Sequential(
                *normalised(entering, leaving, 1, stride, bias)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, H, W) to (batch, 4 x width, H / stride, W / stride)."""
        return torch.relu(self.body(x).add_(self.shortcut(x)))


def normalised(
    entering: int, leaving: int, size: int, stride: int, bias: bool
) -> tuple[nn.Module, nn.Module]:
    """A convolution and its batch normalisation."""
    convolution = nn.Conv2d(entering, leaving, size, stride, size // 2, bias=bias)
    return convolution, nn.BatchNorm2d(leaving)


def resnet101(classes: int, bias: bool) -> nn.Module:
    """The whole network, with a classifier."""
    layers: list[nn.Module] = [
        *normalised(3, 64, 7, 2, bias), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    entering = 64
    for number, depth in enumerate(DEPTHS):
        width = 64 * 2**number
        for index in range(depth):
            stride = 2 if number and not index else 1
            layers.append(Block(entering, width, stride, bias))
            entering = 4 * width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(entering, classes)
    )


def main() -> None:
    """Take steps when asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=21)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=101)
    parser.add_argument("--way", choices=WAYS, default=WAYS[0])
    parser.add_argument("--bias", action="store_true")
    parser.add_argument("--profile", action="store_true")
    values = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = resnet101(values.classes, values.bias).train()
    images = torch.randn(values.images, 3, values.size, values.size)
    labels = torch.arange(values.images) % values.classes
    if values.way != "contiguous":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    forward = torch.compile(network) if values.way == "compiled" else network

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    if values.profile:
        step()
        with torch.profiler.profile() as profile:
            step()
        print(profile.key_averages().table("self_cpu_time_total", row_limit=15))
        return
    serve(step)


if __name__ == "__main__":
    main()
