"""Members of HDF5 files whose values are in the file itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py


def check_stored(dataset: "h5py.Dataset") -> None:
    """Raises ValueError if the values of a dataset are not in its own file."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{dataset.name}: its values are in another file")
    if dataset.size and not dataset.id.get_storage_size():
        raise ValueError(f"{dataset.name}: {dataset.shape} without values")


def member(group: "h5py.Group", name: str) -> "h5py.Group | h5py.Dataset":
    """A member of a group. Raises ValueError for a link, which may lead to another file."""
    import h5py

    if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
        raise ValueError(f"{name}: a link")
    return group[name]
