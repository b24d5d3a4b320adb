import stat
from pathlib import Path

import click
import pytest

from meshgate.cli.data_directory import DataDirectory, write_private


@pytest.fixture
def data(tmp_path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


def test_the_admin_key_is_made_once_and_its_owner_alone_may_read_it(data):
    with data.locked():
        key = data.made_admin_key()
        again = data.made_admin_key()

    assert key.startswith("mg-admin-")
    assert again == key == data.admin_key()
    assert stat.S_IMODE(data.admin_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_no_two_directories_have_the_same_key(tmp_path):
    keys = set()
    for name in ("one", "two"):
        data = DataDirectory(tmp_path / name)
        with data.locked():
            keys.add(data.made_admin_key())

    assert len(keys) == 2


def test_the_pepper_is_made_once_and_its_owner_alone_may_read_it(data):
    with data.locked():
        pepper = data.made_key_pepper()
        again = data.made_key_pepper()

    assert again == pepper
    assert len(pepper) >= 43
    assert stat.S_IMODE((data.path / "key.pepper").stat().st_mode) == 0o600


def test_a_pepper_that_cannot_be_read_is_not_made_anew(data):
    with data.locked():
        (data.path / "key.pepper").mkdir()

        with pytest.raises(click.ClickException, match="set MESHGATE_KEY_PEPPER"):
            data.made_key_pepper()


def test_a_directory_without_a_key_has_none(data):
    assert data.admin_key() is None


def test_a_directory_has_one_gateway_at_a_time(data):
    with (
        data.locked(),
        pytest.raises(click.ClickException, match=r"already runs on .* \(process \d+\): stop it"),
        data.locked(),
    ):
        pass


def test_a_directory_is_free_again_after_its_gateway(data):
    with data.locked():
        pass

    with data.locked():
        pass


def test_a_private_file_is_replaced_as_a_whole(tmp_path):
    file = tmp_path / "ready.json"
    file.write_text("old and longer")

    write_private(file, "new")

    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]


def test_a_socket_lies_in_the_directory():
    data = DataDirectory(Path("/data"))

    with data.socket("admin.sock") as path:
        assert path == Path("/data/admin.sock")


def test_a_directory_with_a_long_path_has_its_socket_elsewhere(tmp_path):
    data = DataDirectory(tmp_path / ("long" * 30))

    with data.socket("admin.sock") as path:
        assert len(str(path)) <= 107
        assert path.parent.is_dir()

    assert not path.parent.exists()
