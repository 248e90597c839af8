"""The README is true: its plugin and its tests run, its configuration is valid, its API table is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import alg.plugin
from alg.config import load
from alg.conversation import FORMAT, parse
from alg.core import errors
from alg.overrides import Overrides
from alg.player import Player
from alg.registry import Registry
from alg.testing import Playbook

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of that language."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for tag, text in every if tag == language]


def block(language: str, words: str) -> str:
    """The code block of that language in which these words stand."""
    return next(text for text in blocks(language) if words in text)


def test_the_plugin_of_the_readme_passes_its_tests(tmp_path: Path) -> None:
    """Both are taken word for word."""
    plugin, tests = block("python", "class WherePlugin("), block("python", "def test_")
    (tmp_path / "alg_where.py").write_text(plugin)
    (tmp_path / "test_where.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    ran = subprocess.run(
        [*command, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_conversation_of_the_readme_comes_out(tmp_path: Path) -> None:
    """It is played to the README's own plugin."""
    scope: dict[str, object] = {}
    exec(block("python", "class WherePlugin("), scope)
    conversation = parse(block("", "protocol: where"))
    plugin = scope["WherePlugin"]
    assert isinstance(plugin, type)
    player = Player(Playbook(plugin))
    assert [player.play(step, [step.data]) for step in conversation.steps] == list(conversation.steps)


def test_the_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    """Every key in it exists."""
    path = tmp_path / "alg.toml"
    path.write_text(block("toml", "[routes.office]"))
    (route,) = load(path, Registry(), Overrides()).routes
    assert str(route) == "ftp 10.77.1.1:2121 -> 203.0.113.2:21"


def test_every_name_of_the_api_is_explained() -> None:
    """The table has them all."""
    table = README[README.index("### The plugin API") :]
    missing = [name for name in alg.plugin.__all__ if f"`{name}" not in table]
    assert missing == []


def test_every_error_is_offered_to_plugins() -> None:
    """An error that a plugin may meet, it may catch."""
    kinds = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    assert kinds <= set(alg.plugin.__all__)


def test_the_fixtures_explain_the_same_format() -> None:
    """Each mark of the format is in the table beside the fixtures."""
    table = (Path(__file__).parents[1] / "fixtures" / "README.md").read_text("utf-8")
    headers = re.findall(r"^[a-z_]+:", FORMAT, re.MULTILINE)
    assert [header for header in headers if f"`{header}" not in table] == []
    marks = [line.split()[0] for line in FORMAT.splitlines() if re.match(r"[A-Z+!.=@~-]", line) and "What" not in line]
    assert [mark for mark in marks if f"`{mark}" not in table and mark[:2] not in table] == []


SAYS = re.compile(r'(?:reason="|(?:\.log|\.write|record|Tally|_refuse|\.tell)\(\s*")(\w+)"')
INSIDE = {"lazy", "server_closes"}
"""Words that are told nobody."""


def test_every_reason_of_a_record_is_listed() -> None:
    """Each stands in the README, or in that of its plugin."""
    root = Path(__file__).parents[1]
    sources = [*(root / "alg").rglob("*.py"), *(root / "plugins").rglob("*.py")]
    reasons = {word for source in sources for word in SAYS.findall(source.read_text("utf-8"))}
    assert len(reasons) > 100
    pages = [README, *(page.read_text("utf-8") for page in (root / "plugins").glob("*/README.md"))]
    listed = {word for page in pages for word in re.findall(r"`(\w+)`", page)}
    assert reasons - listed - INSIDE == set()
