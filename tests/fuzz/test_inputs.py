"""
Whatever bytes come, they are read or refused, soon, and leave nothing behind in memory.

FUZZ_SECONDS: How long Atheris looks for bytes for which that isn't so, for all kinds of input together.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriptions.codes import FhirVersion
from tests.fuzz.bodies import broken
from tests.fuzz.inputs import KINDS, largest, read, seeds, words

SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))

#: Seconds on the processor that the slowest input may take.
SLOWEST = 1.0
#: MB that may be taken after the first minute: the engine's caches go on filling, up to what they hold at most.
GROWTH = 64


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_fuzzer_begins_with_is_read_or_refused(kind: str) -> None:
    for seed in (*seeds(kind), *largest(kind)):
        read(kind, seed)


@st.composite
def spoiled(draw: st.DrawFn, kind: str) -> bytes:
    """A seed with a few words or bytes of it elsewhere, gone, or others."""
    data = draw(st.sampled_from(list(seeds(kind))))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(2, len(data))), draw(st.integers(2, len(data)))))
        piece = draw(st.binary(max_size=4) | st.sampled_from(list(words(kind))).map(str.encode) | st.just(data[2:]))
        data = data[:start] + piece + data[end if draw(st.booleans()) else start :]
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spoiled_is_read_or_refused(kind: str) -> None:
    @settings(max_examples=60)
    @given(spoiled(kind))
    def each(data: bytes) -> None:
        read(kind, data)

    each()


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize("type_", ["", "Consent", "Subscription", "Patient"])
def test_a_resource_in_which_something_is_broken_is_refused_or_can_be_judged(version: FhirVersion, type_: str) -> None:
    @settings(max_examples=60)
    @given(broken(version, type_))
    def each(resource: dict[str, object]) -> None:
        read("resource", bytes([list(FhirVersion).index(version), 0]) + json.dumps(resource).encode())

    each()


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_fails_hangs_or_stays_in_memory(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="it has no wheel for this machine")
    corpus, dictionary, told = tmp_path / "corpus", tmp_path / "words", tmp_path / "report.json"
    corpus.mkdir()
    for i, seed in enumerate(seeds(kind)):
        (corpus / str(i)).write_bytes(seed)
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words(kind)))
    options = (
        f"-max_total_time={SECONDS // len(KINDS)}",
        "-max_len=8192",
        "-timeout=60",
        f"-dict={dictionary}",
        f"-artifact_prefix={tmp_path}/",
        str(corpus),
    )
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.harness", kind, str(told), *options],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith(("crash", "timeout"))}
    assert not run.returncode, f"{found}\n{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    report = json.loads(told.read_text())
    print(kind, report)
    assert report["slowest"] < SLOWEST, bytes.fromhex(report["input"])
    assert not report["first"] or report["last"] - report["first"] < GROWTH


def _escaped(word: str) -> str:
    """As libFuzzer's dictionaries have it."""
    return word.replace("\\", "\\\\").replace('"', '\\"')
