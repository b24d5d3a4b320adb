import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.secrets import LocalSecrets, SecretReference, SecretUnresolvedError


def test_an_environment_variable_is_resolved():
    secrets = LocalSecrets({"TOKEN": "abc"})

    assert secrets.resolve(SecretReference.parse("${env:TOKEN}")) == "abc"


def test_a_file_is_resolved_without_the_blanks_at_its_ends(tmp_path):
    (tmp_path / "token").write_text("abc\n")

    reference = SecretReference.parse(f"${{file:{tmp_path}/token}}")

    assert LocalSecrets({}).resolve(reference) == "abc"


@pytest.mark.parametrize("text", ["${env:NONE}", "${env:EMPTY}", "${file:/no/such/file}"])
def test_a_reference_to_nothing_says_so(text):
    secrets = LocalSecrets({"EMPTY": " "})

    with pytest.raises(SecretUnresolvedError):
        secrets.resolve(SecretReference.parse(text))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path, content):
    (tmp_path / "token").write_bytes(content)

    with pytest.raises(SecretUnresolvedError):
        LocalSecrets({}).resolve(SecretReference("file", f"{tmp_path}/token"))


@pytest.mark.parametrize(
    "text", ["hunter2", "${hunter2}", "x${env:A}", "${file:hunter2}", "${env:}"]
)
def test_what_is_no_reference_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="must refer to the secret") as caught:
        SecretReference.parse(text)

    assert "hunter2" not in str(caught.value)


@given(st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True))
def test_a_reference_is_written_as_it_is_read(name):
    assert str(SecretReference.parse(f"${{env:{name}}}")) == f"${{env:{name}}}"
