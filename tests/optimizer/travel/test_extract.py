"""Road networks out of OpenStreetMap files, and the cache that keeps them."""

import logging
from pathlib import Path

import numpy as np
import pytest

from optimizer.checks import ProblemError
from optimizer.travel import extract
from tests.optimizer.shared_data import SHARED_DATA, needs_shared_data
from tests.optimizer.town import RESIDENTIAL, Nodes, an_extract

#: A square of 100 m, a lane out of it, and a car park that no road leads to.
NODES: Nodes = {
    "A": (0, 0),
    "B": (100, 0),
    "C": (100, 100),
    "D": (0, 100),
    "E": (300, 0),
    "X": (150, 50),
    "Y": (170, 50),
}
SQUARE = ("ABCDA", RESIDENTIAL)


def a_town(folder: Path) -> Path:
    return an_extract(folder, NODES, [SQUARE, ("BE", RESIDENTIAL), ("XY", {"highway": "service"})])


def test_only_the_largest_connected_component_is_kept(tmp_path: Path) -> None:
    van = extract.load(a_town(tmp_path)).networks["van"]

    # 600 m of 620 m; the map is 0.04 % off.
    assert van.km == pytest.approx(0.6, rel=1e-3)
    assert van.share == pytest.approx(600 / 620, rel=1e-3)
    assert len(van.longitude) == 5


def test_a_street_that_can_be_entered_but_not_left_is_no_part_of_it(tmp_path: Path) -> None:
    file = an_extract(tmp_path, NODES, [SQUARE, ("BE", RESIDENTIAL | {"oneway": "yes"})])

    assert extract.load(file).networks["van"].km == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize("pieces", [["BXE"], ["BX", "EX"], ["XB", "XE"]])
def test_a_bollard_ends_the_way_of_vans_but_not_of_bikes(tmp_path: Path, pieces: list[str]) -> None:
    ways = [SQUARE, *((piece, RESIDENTIAL) for piece in pieces)]
    file = an_extract(tmp_path, NODES | {"X": (200, 0)}, ways, {"X": {"barrier": "bollard"}})

    networks = extract.load(file).networks

    assert networks["bike"].km == pytest.approx(0.6, rel=1e-3)
    assert networks["van"].km == pytest.approx(0.5, rel=1e-3)


def test_a_way_that_leaves_the_extract_ends_at_its_border(tmp_path: Path) -> None:
    file = an_extract(tmp_path, NODES, [SQUARE, ("BEZA", RESIDENTIAL)])

    assert extract.load(file).networks["van"].km == pytest.approx(0.6, rel=1e-3)


def test_the_second_time_networks_come_from_the_cache(tmp_path: Path) -> None:
    file = a_town(tmp_path)
    first = extract.load(file, tmp_path / "cache")

    second = extract.load(file, tmp_path / "cache")

    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.cache == tmp_path / "cache" / "town.osm.network.npz"
    assert second.cache.stat().st_mode & 0o044 == 0o044
    for name, network in first.networks.items():
        for attribute in network.__slots__:
            assert np.array_equal(getattr(network, attribute), getattr(second.networks[name], attribute))


def test_a_changed_extract_is_read_anew(tmp_path: Path) -> None:
    extract.load(a_town(tmp_path))
    file = an_extract(tmp_path, NODES, [SQUARE])

    changed = extract.load(file)

    assert not changed.from_cache
    assert changed.networks["van"].km == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize("keep", [0, 10, 700, -1])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture) -> None:
    file = a_town(tmp_path)
    cache = extract.load(file).cache
    assert cache is not None
    cache.write_bytes(cache.read_bytes()[:keep])

    again = extract.load(file)

    assert not again.from_cache
    assert again.networks["bike"].km == pytest.approx(0.6, rel=1e-3)
    assert "unusable" in caplog.text
    assert extract.load(file).from_cache


def test_bytes_that_fell_over_in_the_cache_are_noticed(tmp_path: Path) -> None:
    file = a_town(tmp_path)
    cache = extract.load(file).cache
    assert cache is not None
    content = bytearray(cache.read_bytes())
    content[content.index(b"bike.length_m") + 200] ^= 0xFF
    cache.write_bytes(content)

    assert not extract.load(file).from_cache


def test_other_rules_make_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_town(tmp_path)
    extract.load(file)
    monkeypatch.setattr(extract, "FORMAT", extract.FORMAT + 1)

    assert not extract.load(file).from_cache


def test_without_room_for_a_cache_networks_are_made_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = a_town(tmp_path)
    caplog.set_level(logging.WARNING)

    made = extract.load(file, file / "a-file-is-no-folder")

    assert made.cache is None
    assert made.networks["van"].km == pytest.approx(0.6, rel=1e-3)
    assert "not kept" in caplog.text


def test_a_draft_of_the_cache_never_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    file = a_town(tmp_path)
    monkeypatch.setattr(np, "savez", interrupted)

    with pytest.raises(KeyboardInterrupt):
        extract.load(file)

    assert [path.name for path in tmp_path.iterdir()] == ["town.osm"]


@pytest.mark.parametrize("content", [b"", b"no map", b"<osm/>", b"\x00\x00\x00\x0d\x0a\x09OSMHeader"])
def test_what_is_no_extract_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("some.osm.pbf", "some.osm", "some.txt"):
        (tmp_path / name).write_bytes(content)

        with pytest.raises(ProblemError, match="extract"):
            extract.load(tmp_path / name)


def test_a_missing_extract_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        extract.load(tmp_path / "nowhere.osm.pbf")


@needs_shared_data
def test_a_rural_extract_is_one_network_for_each_vehicle(tmp_path: Path) -> None:
    networks = extract.load(SHARED_DATA / "osm" / "north-bayreuth.osm.pbf", tmp_path).networks

    # Motorways that leave the extract cannot be entered again; all else hangs together.
    assert networks["bike"].share > 0.95
    assert networks["van"].share > 0.85
    assert 250 < networks["bike"].km < 400
    assert 150 < networks["van"].km < 250
