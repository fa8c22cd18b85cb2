"""Ends a computation whose result is no longer wanted."""

from collections.abc import Callable

from torch.overrides import TorchFunctionMode


class Cancelled(Exception):
    """The person does not want the result any more."""


class Cancellable(TorchFunctionMode):
    """A context in which this thread's next call of a PyTorch function raises Cancelled once `is_wanted` is false.

    A network thus ends within a layer; one that ncnn or OpenVINO runs is a single call, which is not interrupted.
    """

    def __init__(self, is_wanted: Callable[[], bool]):
        super().__init__()
        self._is_wanted = is_wanted

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """Called by PyTorch in place of each of its functions."""
        if not self._is_wanted():
            raise Cancelled
        return func(*args, **(kwargs or {}))
