"""`hub completion`, read by the shells that this machine has."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.cli import COMMANDS
from tests.cli.commands import command

NOBODY = "http://127.0.0.1:1"


def bash(script: Path, words: list[str]) -> list[str]:
    """What bash proposes for the last of these words."""
    line = " ".join(words)
    return [
        "bash",
        "--norc",
        "-c",
        f'source "{script}"; declare -F _shtab_hub >/dev/null || exit 9; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        f' COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _shtab_hub; printf "%s\\n" "${{COMPREPLY[@]}}"',
        "bash",
        *words,
    ]


def fish(script: Path, words: list[str]) -> list[str]:
    return ["fish", "--no-config", "-c", f"source {script}; complete -C '{' '.join(words)}' | cut -f1"]


def zsh(script: Path, words: list[str]) -> list[str]:
    """zsh proposes on a terminal only: one of its own, whose line editor asks for the list as soon as it is up.

    Nothing is typed there: before the editor has the terminal, what is typed is the terminal driver's to read.
    """
    script.with_name("_hub").write_bytes(script.read_bytes())
    script.with_name(".zshrc").write_text(
        f"""
        PROMPT= LISTMAX=1000
        stty cols 200
        fpath=({script.parent} $fpath)
        autoload -U compinit
        compinit -u -D
        zstyle ":completion:*" verbose no
        zle-line-init() {{
            BUFFER='{" ".join(words)}'
            CURSOR=$#BUFFER
            zle list-choices
            zle -R
            print END
        }}
        zle -N zle-line-init
        """
    )
    return [
        "zsh",
        "-f",
        "-c",
        f"""
        zmodload zsh/zpty
        zpty shell ZDOTDIR={script.parent} zsh --no-globalrcs -i
        zpty -r -m shell found '*END*'
        print -r -- "$found"
        zpty -d shell
        """,
    ]


SHELLS: dict[str, Callable[[Path, list[str]], list[str]]] = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.mark.parametrize("shell", [name for name in SHELLS if shutil.which(name)])
async def test_completion(shell: str, tmp_path: Path) -> None:
    """Commands, actions, options and what these may be, in a shell of its own kind."""
    done = await command(NOBODY, "completion", shell)
    assert (done.code, done.err) == (0, "")
    assert len(done.out) < 100_000
    script = tmp_path / "script"
    script.write_text(done.out)

    async def proposed(*words: str) -> set[str]:
        process = await asyncio.create_subprocess_exec(
            *SHELLS[shell](script, list(words)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            output, said = await process.communicate()
        assert process.returncode == 0, said
        return set(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]", "", output.decode()).split())

    assert await proposed("hub", "") >= COMMANDS.keys()
    assert await proposed("hub", "keys", "") >= {"create", "list", "revoke"}
    assert "--version" in await proposed("hub", "publish", "--v")
    assert await proposed("hub", "publish", "--version", "") >= {"r4", "r4b", "r5"}
