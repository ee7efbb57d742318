"""PyTorch, eager or `torch.compile`: tensors at hand, a plain loop, `Adam(fused=True)`."""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import workloads as w


class Peer:
    """A model with channels first, as PyTorch is used; `compiled` says whether `torch.compile` takes model and loss."""

    settings = ({},)
    compiled = False

    def __init__(self, work, x, y):
        self.work = work
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        if self.x.ndim == 4:
            self.x = self.x.permute(0, 3, 1, 2).contiguous()
        self.y = self.x if work.targets is None else self.y.long() if work.classes else self.y
        self.model = MODELS[work.name]()
        self.optimizer = torch.optim.Adam(self.model.parameters(), w.LEARNING_RATE, eps=w.EPSILON, fused=True)
        self.run = torch.compile(self.model) if self.compiled else self.model

    def parameters(self):
        # PyTorch's LSTM has a second bias, which adds to the first.
        return sum(p.numel() for name, p in self.model.named_parameters() if "bias_hh" not in name)

    def train(self, epochs):
        self.model.train()
        for _ in range(epochs):
            total = torch.zeros(())
            for rows in torch.randperm(self.work.rows).split(self.work.batch):
                out, y = self.run(self.x[rows]), self.y[rows]
                loss = F.cross_entropy(out.flatten(0, -2), y.flatten()) if self.work.classes else F.mse_loss(out, y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total += loss.detach()
        return total.item() / self.work.steps

    @torch.inference_mode()
    def predict(self):
        self.model.eval()
        return torch.cat([self.run(x) for x in self.x.split(w.PREDICT_BATCH)]).numpy()

    @torch.inference_mode()
    def predict_one(self, row):
        self.model.eval()
        return self.run(self.x[row : row + 1]).numpy()

    predict_one_direct = predict_one


class CompiledPeer(Peer):
    """The same through `torch.compile`."""

    compiled = True


def _mlp():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def _tiny():
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))


def _cnn():
    blocks = [(nn.Conv2d(c, f, 3), nn.ReLU(), nn.MaxPool2d(2)) for c, f in ((1, 32), (32, 64))]
    return nn.Sequential(*blocks[0], *blocks[1], nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10))


def _autoencoder():
    def up(c, f):
        return nn.ConvTranspose2d(c, f, 3, stride=2, padding=1, output_padding=1)

    down = [(nn.Conv2d(c, f, 3, stride=2, padding=1), nn.ReLU()) for c, f in ((1, 16), (16, 32))]
    return nn.Sequential(*down[0], *down[1], up(32, 16), nn.ReLU(), up(16, 1))


def _convolution(c, f, size, stride=1):
    conv = nn.Conv2d(c, f, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(f, eps=1e-3, momentum=0.01))


class _Block(nn.Module):
    def __init__(self, c, f, stride):
        super().__init__()
        self.first, self.second = _convolution(c, f, 3, stride), _convolution(f, f, 3)
        self.short = nn.Identity() if stride == 1 else _convolution(c, f, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.short(x))


def _resnet():
    blocks = [_Block(16, 16, 1), _Block(16, 32, 2), _Block(32, 64, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(_convolution(3, 16, 3), nn.ReLU(), *blocks, *head)


class _Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(w.VOCABULARY, w.WIDTH)
        self.lstm, self.head = nn.LSTM(w.WIDTH, 64, batch_first=True), nn.Linear(64, 2)

    def forward(self, x):
        return self.head(self.lstm(self.embed(x))[0][:, -1])


class _Conv1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(w.VOCABULARY, w.WIDTH)
        self.conv, self.head = nn.Conv1d(w.WIDTH, 128, 5), nn.Linear(128, 2)

    def forward(self, x):
        return self.head(F.relu(self.conv(self.embed(x).mT)).amax(-1))


class _GptBlock(nn.Module):
    def __init__(self, width=w.MODEL_WIDTH):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.drop = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.Dropout(w.DROPOUT)

    def forward(self, x):
        q, k, v = (a.unflatten(-1, (w.HEADS, -1)).transpose(1, 2) for a in self.qkv(self.norm1(x)).chunk(3, -1))
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
        x = x + self.drop(self.out(h))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))


class _Gpt(nn.Module):
    def __init__(self, width=w.MODEL_WIDTH):
        super().__init__()
        self.embed, self.positions = nn.Embedding(w.LETTERS, width), nn.Parameter(0.05 * torch.randn(64, width))
        self.blocks = nn.Sequential(*[_GptBlock() for _ in range(w.BLOCKS)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, w.LETTERS)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embed(x) + self.positions)))


MODELS = {
    "mlp": _mlp, "tiny": _tiny, "cnn": _cnn, "resnet": _resnet, "lstm": _Lstm, "gpt": _Gpt, "conv1d": _Conv1d,
    "autoencoder": _autoencoder,
}  # fmt: skip
