"""Travel models by name, as command lines and settings say them."""

from pathlib import Path

from optimizer.checks import ProblemError
from optimizer.travel.model import GeodesicTravel, TravelModel

GEODESIC = "geodesic"


def check(name: str) -> None:
    """
    Refuse what names no travel model, or an extract that is not there.

    Raises
    ------
    ProblemError
        With the reason.
    """
    kind, _, source = name.partition(":")
    if kind != "network" or not source:
        travel_named(name)
    elif not Path(source).is_file():
        raise ProblemError("travel", f"{source} is no file")


def travel_named(
    name: str, *, cache_dir: str | Path | None = None, patience_s: float | None = None
) -> TravelModel:
    """
    Return the travel model of a name: ``geodesic``, ``network:FILE`` or ``osrm:URL``.

    Parameters
    ----------
    name
        One of these, with a file or an address.
    cache_dir
        Where road networks are kept; next to the extract by default.
    patience_s
        How long a server is asked for one table at most; its default is that of the model.

    Raises
    ------
    ProblemError
        If the name means nothing, the address is not HTTP, or the file holds no roads.
    OSError
        If the file cannot be read.
    """
    kind, _, source = name.partition(":")
    if name == GEODESIC:
        return GeodesicTravel()
    if kind == "network" and source:
        from optimizer.travel.network import NetworkTravel

        return NetworkTravel.from_extract(source, cache_dir)
    if kind == "osrm" and source:
        from optimizer.travel.osrm import OsrmTravel

        return OsrmTravel(url=source) if patience_s is None else OsrmTravel(url=source, patience_s=patience_s)
    raise ProblemError("travel", "must be geodesic, network:FILE or osrm:URL")
