"""What a hub says, read by an implementation of FHIR that shares no code, no language and no author with it."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import anyio
import pytest

from subscriptions.codes import FhirVersion
from tests.fhir import talking_to
from tests.node.faults import FAULTS
from tests.node.story import KINDS, SHAPED, Story
from tests.processes import HubProcess
from tests.receiver import Receiver

pytestmark = pytest.mark.node


async def errors(version: FhirVersion, resources: Iterable[bytes]) -> list[list[str]]:
    """What the other implementation has to say against each."""
    command = ["node", str(Path(__file__).with_name("validate.mjs")), version.value]
    given = b"[" + b",".join(resources) + b"]"
    done = await anyio.run_process(command, input=given, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module", params=FhirVersion, ids=lambda version: version.value)
async def story(request: pytest.FixtureRequest, hub: HubProcess) -> AsyncIterator[Story]:
    """What a hub said in one version."""
    version: FhirVersion = request.param
    async with talking_to(hub, "r5") as publisher:
        await publisher.put(SHAPED)
    async with Receiver() as receiver, talking_to(hub, version.value) as fhir:
        story = Story(fhir, receiver, version)
        await story.run()
        yield story


async def test_all_that_a_hub_says_is_read_without_error(story: Story) -> None:
    assert sorted(story.told) == sorted(KINDS)
    found = await errors(story.version, [story.told[kind] for kind in KINDS])
    assert {kind: each for kind, each in zip(KINDS, found, strict=True) if each} == {}


async def test_what_is_broken_would_be_told(story: Story) -> None:
    """Each fault alone, in a Bundle that was sent, is an error to the other implementation."""
    faults, broken = FAULTS[story.version], []
    for fault in faults.values():
        bundle = json.loads(story.told["full-resource of a create"])
        fault(bundle)
        broken.append(json.dumps(bundle).encode())
    found = await errors(story.version, broken)
    for words, each in zip(faults, found, strict=True):
        assert any(words in error for error in each), (words, each)
