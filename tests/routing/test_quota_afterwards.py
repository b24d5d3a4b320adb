from meshgate.routing.peers.quota.afterwards import Afterwards


def test_what_is_put_in_is_done_when_it_is_time_in_order() -> None:
    done: list[int] = []
    afterwards = Afterwards()
    for number in range(3):
        afterwards.put(lambda number=number: done.append(number))
    waiting = len(afterwards)

    afterwards.run()

    assert (waiting, done, len(afterwards)) == (3, [0, 1, 2], 0)


def test_many_do_not_wait() -> None:
    done: list[int] = []
    afterwards = Afterwards()

    for number in range(100):
        afterwards.put(lambda number=number: done.append(number))

    assert len(done) >= 64
    assert len(done) + len(afterwards) == 100


def test_what_fails_keeps_nothing_else_from_being_done(capsys) -> None:
    done: list[str] = []
    afterwards = Afterwards()

    def fail() -> None:
        raise RuntimeError("what a prompt says")

    afterwards.put(fail)
    afterwards.put(lambda: done.append("the next"))
    afterwards.run()

    assert done == ["the next"]
    assert "what a prompt says" not in capsys.readouterr().err
