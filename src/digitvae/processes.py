"""Several processes that work together: which is which, and what they tell each other (torch.distributed).

Where they train one model, each holds the whole model and draws the same random numbers for a whole batch, then works
on its own part of it; the gradients are added up. So a run is the same, but for rounding, whatever the number of
processes. PyTorch is imported where processes meet: one that is alone does without it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from digitvae.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_WAIT = timedelta(hours=12)
"""How long processes wait for each other. Whoever is done first with its part of an evaluation may wait for hours. One
that dies is noticed at once, by its closed connection."""


@dataclass(frozen=True)
class Team:
    """This process among those that work together; by default it is alone.

    Attributes:
        rank: Its number, from 0 on; 0 leads and is the only one that writes files.
        size: How many there are.

    >>> Team().leads, Team(rank=1, size=4).part(10)
    (True, slice(3, 6, None))
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This process's part of `n` things; the first parts are one longer where they do not come out even."""
        each, rest = divmod(n, self.size)
        start = self.rank * each + min(self.rank, rest)
        return slice(start, start + each + (self.rank < rest))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one exchange.

        Raises:
            RunError: If another process is gone.
        """
        if self.size == 1 or not tensors:
            return
        import torch
        from torch import distributed

        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        try:
            distributed.all_reduce(flat)
        except RuntimeError as error:
            raise RunError(
                f"Process {self.rank} of {self.size} has lost another one; what was saved last is good: start all of "
                "them again with --resume."
            ) from error
        with torch.no_grad():
            for tensor, part in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def collect(self, content: bytes) -> list[bytes]:
        """What each process gives, in the order of their numbers: for the leader; others get nothing.

        Raises:
            RunError: If another process is gone.
        """
        if self.size == 1:
            return [content]
        import torch
        from torch import distributed

        size = torch.tensor([len(content)])
        sizes = [torch.empty_like(size) for _ in range(self.size)]
        try:
            distributed.all_gather(sizes, size)
            # All parts of a gathering are alike in size.
            padded = torch.zeros(max(int(each) for each in sizes), dtype=torch.uint8)
            padded[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else padded[:0]
            parts = [torch.empty_like(padded) for _ in range(self.size)] if self.leads else None
            distributed.gather(padded, parts)
        except RuntimeError as error:
            raise RunError(
                f"Process {self.rank} of {self.size} has lost another one; start all of them again."
            ) from error
        return [part[: int(each)].numpy().tobytes() for part, each in zip(parts or [], sizes, strict=False)]

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all get the same answer.

        Raises:
            RunError: If another process is gone.
        """
        if self.size == 1:
            return flag
        import torch

        said = torch.tensor([float(flag)])
        self.add_up([said])
        return bool(said > 0)

    def wait(self) -> None:
        """Wait until all processes are here.

        Raises:
            RunError: If another process is gone.
        """
        self.any(False)


ALONE = Team()


@contextlib.contextmanager
def joined() -> Iterator[Team]:
    """The team of processes that ``torchrun`` has started, while it lasts; without it, this process alone.

    They speak by gloo on processors and by nccl on GPUs; with nccl, no run was ever tried.

    Raises:
        RunError: If the processes do not find each other, or are more than the machine's GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE
        return
    import torch
    from torch import distributed

    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpus = torch.cuda.is_available()
    here, devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if on_gpus and here > devices:
        raise RunError(
            f"There are {here} processes on this machine and {devices} GPUs: start as many processes as GPUs, or set "
            "CUDA_VISIBLE_DEVICES= to use the processors."
        )
    if on_gpus:
        torch.cuda.set_device(local)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise RunError(f"The processes do not find each other ({error}); start them with torchrun.") from error
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
