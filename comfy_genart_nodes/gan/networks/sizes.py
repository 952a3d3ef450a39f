"""What specs share: settings out of bounds are refused before they take any memory or time.

Light, as specs are: without torch.
"""

from collections.abc import Collection, Mapping

from ...errors import GenartError


def check_sizes(network: str, spec: object, limits: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a spec with a number out of bounds.

    Args:
        network: what a sentence begins with: "A DCGAN".
        spec: has a number, or a tuple of them, under each name.
        limits: least and largest number by name; the first that is broken is told.

    Raises:
        GenartError: naming the setting and its limits.
    """
    for name, (low, high) in limits.items():
        found = getattr(spec, name)
        for number in found if isinstance(found, tuple) else (found,):
            if not low <= number <= high:
                raise GenartError(
                    f"{network} cannot have {name} {number}: it must be from {low} to {high}."
                )


def check_choice(network: str, spec: object, name: str, known: Collection[object]) -> None:
    """Refuse a spec with an unknown value of a setting.

    Args:
        network: what a sentence begins with.
        spec: has the value under this name.
        name: the setting's.
        known: its possible values.

    Raises:
        GenartError: naming them.
    """
    found = getattr(spec, name)
    if found not in known:
        raise GenartError(
            f"{network} cannot have {name} {found}: it must be {' or '.join(map(str, known))}."
        )
