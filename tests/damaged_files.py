"""Genuine files, small ones, and the same with damage."""

import io
import pickle
import random
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch


def genuine() -> dict[str, bytes]:
    """Small files as the tools write them: a module, numbers, a state dict, of each format."""
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Conv2d(2, 2, 3))
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tree = {
        "G_ema": module,
        "training_set_kwargs": OrderedDict(path="data", resolution=np.int64(64)),
        "filter": np.arange(6, dtype=np.float32).reshape(2, 3),
        "seen": {"a", 1},
        "cur_nimg": 12345,
    }
    files = {f"pickle {p}": pickle.dumps(tree, protocol=p) for p in (2, 4, 5)}
    for new in (True, False):
        out = io.BytesIO()
        torch.save({"g_ema": weights, "step": 3}, out, _use_new_zipfile_serialization=new)
        files["archive" if new else "old file"] = out.getvalue()
    return files


def damaged(files: dict[str, bytes], each: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Every file `each` times, with all kinds of damage in turn."""
    draw = random.Random(seed)
    for title, data in files.items():
        for index in range(each):
            other = draw.choice(list(files.values()))
            yield f"{title}, damage {index}", damage(data, other, index % 8, draw)


def damage(data: bytes, other: bytes, kind: int, draw: random.Random) -> bytes:
    at, length = draw.randrange(len(data)), draw.randrange(1, 64)
    before, part, after = data[:at], data[at : at + length], data[at + length :]
    if kind < 5:
        flipped = bytes([part[0] ^ 1 << draw.randrange(8)]) + part[1:]
        ways = b"", flipped + after, draw.randbytes(length) + after, after, part * 2 + after
        return before + ways[kind]
    if kind == 5:
        return before + other[draw.randrange(len(other)) :]
    return exchanged(data, draw) if kind == 6 else exchanged(exchanged(data, draw), draw)


def exchanged(data: bytes, draw: random.Random) -> bytes:
    """With one instruction in the place of another."""
    codes = b"NJKMGILFXVUTCB]}()tldabesuRQghjpqrc.\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95"
    places = [at for at, code in enumerate(data) if code in codes]
    at = draw.choice(places)
    return data[:at] + bytes([draw.choice(codes)]) + data[at + 1 :]
