import pytest

from meshgate.quota.redis_address import RedisAddress, UnusableUrlError


def test_a_server_has_one_place():
    address = RedisAddress.parse("redis://:pa%3Ass@db.example:7000/3")

    assert (address.places, address.is_cluster) == ((("db.example", 7000),), False)
    assert (address.options["password"], address.options["db"]) == ("pa:ss", 3)


def test_a_cluster_has_several_and_one_way_to_connect():
    address = RedisAddress.parse("rediss+cluster://ada:secret@a:7000,b,[::1]:7002")

    assert address.places == (("a", 7000), ("b", 6379), ("::1", 7002))
    assert address.is_cluster
    assert (address.options["username"], address.options["password"]) == ("ada", "secret")
    assert address.options["connection_class"].__name__ == "SSLConnection"


def test_a_password_is_not_printed():
    assert "secret" not in repr(RedisAddress.parse("redis://:secret@a:1/0"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a:6379",
        "http://a:6379",
        "redis://",
        "redis://:secret@",
        "redis://a:port/0",
        "redis://a:7000,b:7000/0",
        "redis+cluster://a:7000/2",
        "unix+cluster:///tmp/redis.sock",
    ],
)
def test_what_cannot_be_understood_is_said_without_repeating_it(url):
    with pytest.raises(UnusableUrlError) as caught:
        RedisAddress.parse(url)

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
