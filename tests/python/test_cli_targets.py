"""`target add`, `list`, `health` and `remove`."""

import asyncio
import stat

from support.program import Program
from support.receiver import receiver

KEY = "a-key-nobody-may-read"


def add(program: Program, name: str, url: str) -> str:
    """Its id. The key comes from a file, as a person would have it."""
    key_file = program.directory / "key"
    key_file.write_text(f"{KEY}\n")
    return str(program.json("target", "add", name, url, "--api-key-file", str(key_file))["target_id"])


def test_targets_are_kept_named_and_forgotten(program: Program) -> None:
    assert program("target", "list").out == "no replication targets are registered\n"
    assert program.json("target", "list") == {"targets": []}
    first, second = add(program, "first", "https://one.example"), add(program, "second", "https://two.example")
    assert [one["target_id"] for one in program.json("target", "list")["targets"]] == [first, second]
    listed = program("target", "list").out
    assert "https://one.example" in listed and KEY not in listed
    assert program("target", "remove", "first").out == "target first is removed\n"
    assert program.json("target", "remove", second[:-1])["name"] == "second"
    assert program.json("target", "list") == {"targets": []}


def test_wrong_use_is_one_sentence_and_stores_nothing(program: Program) -> None:
    add(program, "here", "https://one.example")
    for words, code, said in (
        (("add", "here", "https://two.example"), 2, "another name"),
        (("add", "two", "https://one.example/../up"), 2, "goes back by '.' or '..'"),
        (("add", "two", "https://one.example?key=hidden"), 2, "no ? and no #"),
        (("add", "two", "one.example"), 2, "https://host:port"),
        (("add", "two", "https://u:hidden@one.example"), 2, "a user or a password"),
        (("add", "two", "https://one.example", "--api-key-file", "none"), 2, "No such file"),
        (("add", "two", "https://one.example", "--ca-file", "none"), 2, "/none', cannot be used: No such file"),
        (("add", "two", "https://one.example", "--ca-file", "key"), 2, "/key', cannot be used: it holds no"),
        (("add", "two", "https://[fe80::1]"), 2, "leads to an address where no target can be"),
        (("add", "two", "https://one.example", "--bytes-per-second", "0"), 2, "--bytes-per-second"),
        (("remove", "nobody"), 1, "a listing names all"),
        (("health", "nobody"), 1, "a listing names all"),
    ):
        sentence = program.sentence("target", *words, code=code)
        assert said in sentence and "hidden" not in sentence
    (program.directory / "empty").write_text("\n")
    assert "is empty" in program.sentence(
        "target", "add", "two", "https://one.example", "--api-key-file", "empty", code=2
    )
    assert len(program.json("target", "list")["targets"]) == 1


async def test_health_says_who_can_receive(program: Program) -> None:
    async with receiver() as there:
        url = f"http://127.0.0.1:{there.port}"
        add(program, "good", url)
        said = await asyncio.to_thread(program, "target", "health")
        assert "HEALTHY" in said.out and there.keys == [KEY]
        add(program, "dead", "http://127.0.0.1:1")
        said = await asyncio.to_thread(program, "target", "health", "--json", code=1)
        assert [one["status"] for one in said.document["targets"]] == ["HEALTHY", "UNREACHABLE"]
        await asyncio.to_thread(program, "target", "health", "good")


def test_a_key_file_that_anybody_can_read_is_warned_of(program: Program) -> None:
    (program.directory / "key").write_text(KEY)
    for mode, is_warned in ((0o644, True), (0o640, False)):
        (program.directory / "key").chmod(mode)
        said = program("target", "add", f"of-{mode:o}", "https://one.example", "--api-key-file", "key").err
        assert ("the API key file 'key' may be read by anybody on this host: chmod 600 it" in said) is is_warned
        assert is_warned or not said


def test_what_keeps_keys_is_made_for_few(program: Program) -> None:
    program("key", "add", "tokyo")
    made = (program.storage, program.storage / "state")
    assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [0o750, 0o700]


def test_a_key_of_the_environment_is_sealed_too(program: Program) -> None:
    program.environ["LIGHTRAG_REPLICATION_API_KEY"] = KEY
    program("target", "add", "here", "https://one.example")
    stored = list((program.directory / "storage" / "state").iterdir())
    assert stored and all(KEY.encode() not in one.read_bytes() for one in stored)
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in stored)
