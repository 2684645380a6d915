"""What is sealed at rest, with which keys, and where these come from."""

import stat
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.errors import NotTheHub
from hub.secrets import Secrets, Unopened, made_in, read_keys
from hub.settings import Settings

ONE, OTHER = urlsafe_b64encode(b"\xfb" * 32).decode(), urlsafe_b64encode(b"\xff" * 32).decode()


def of(*keys: str) -> Secrets:
    return Secrets.of(",".join(keys), None)


def test_what_is_sealed_is_not_seen_and_opens() -> None:
    sealed = of(ONE).seal(b"a secret")
    assert b"secret" not in sealed
    assert of(ONE).open(sealed) == b"a secret"


def test_a_key_is_replaced_without_a_pause() -> None:
    """The new one in front seals, and the one behind it still opens what it has sealed."""
    before, during, after = of(ONE), of(OTHER, ONE), of(OTHER)
    assert during.open(before.seal(b"x")) == b"x"
    assert after.open(during.seal(b"x")) == b"x"
    with pytest.raises(Unopened):
        after.open(before.seal(b"x"))


def test_what_was_altered_does_not_open() -> None:
    sealed = bytearray(of(ONE).seal(b"x"))
    sealed[20] ^= 1
    with pytest.raises(Unopened):
        of(ONE).open(bytes(sealed))


def test_without_a_key_nothing_is_sealed() -> None:
    assert not of()
    with pytest.raises(Unopened, match="HUB_SECRETS_KEY is not set"):
        of().seal(b"x")


def test_keys_may_be_written_as_openssl_does() -> None:
    plain = b64encode(b"\xfb" * 32).decode()
    assert "+" in plain
    assert read_keys(f" {plain},\n{ONE}\n") == (ONE.encode(), ONE.encode())


@pytest.mark.parametrize("wrong", ["secret", ONE[:-2], ONE + "AAAA", "ö" * 44])
def test_what_is_no_key_is_refused_and_not_shown(wrong: str) -> None:
    with pytest.raises(ValidationError, match="should be keys of 32 random bytes") as refusal:
        Settings(secrets_key=wrong)
    assert wrong not in str(refusal.value.errors()[0]["msg"])


def test_a_file_holds_more_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{OTHER}\n")
    assert Secrets.of(ONE, tmp_path / "keys") == of(ONE, OTHER)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "can't be read"), ("", "holds no key"), ("x", "should be keys"), (b"\xff", "should be")],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, content: str | bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NotTheHub, match=said):
        Secrets.of("", tmp_path / "keys")


def test_a_data_directory_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Made once, for the eyes of the hub only, and nothing else is left there."""
    file = made_in(tmp_path)
    sealed = Secrets.of("", file).seal(b"x")
    assert made_in(tmp_path) == file
    assert Secrets.of("", file).open(sealed) == b"x"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_directory_that_takes_no_key_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(NotTheHub, match="can't be written"):
        made_in(tmp_path / "nowhere")
