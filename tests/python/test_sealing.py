"""Sealed repositories: what can be read without the key, what opens them, and what is refused."""

import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

import pytest
from support import check, graphs
from support.program import Program

from lightrag_bkp import BackupManager, sync
from lightrag_bkp.errors import (
    ConfigurationError,
    InvalidInputError,
    LightragBkpError,
    LockedError,
    NotFoundError,
)
from lightrag_bkp.sources import outside

WINDOW = 12


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "REST_S", 0.05)


def stored_files(storage: Path) -> list[Path]:
    return sorted(path for path in storage.rglob("*") if path.is_file())


def assert_nothing_shows(storage: Path, secrets: Iterable[bytes], sources: Iterable[Path]) -> None:
    """No stored byte says any of `secrets`, and no 12 bytes in a row are from a source's file."""
    pieces = {
        content[at : at + WINDOW]
        for content in (path.read_bytes() for path in sources)
        for at in range(0, len(content) - WINDOW, WINDOW)
    } - {bytes(WINDOW)}
    files = stored_files(storage)
    assert files
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, (path, secret)
            assert secret.hex().encode() not in content, (path, secret)
            assert secret not in os.fsencode(path.relative_to(storage)), (path, secret)
        shown = [at for at in range(len(content) - WINDOW) if content[at : at + WINDOW] in pieces]
        assert not shown, (path, shown[:3])


def key_file(path: Path, key: bytes | None = None) -> Path:
    path.touch(0o600)
    path.write_bytes(key or os.urandom(32))
    return path


# ---- what shows ----


async def test_no_stored_byte_says_what_was_stored(graph_dir: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    async with BackupManager(storage, passphrase="correct horse battery staple") as manager:
        graph = manager.register_graph("support", graph_dir)
        first = await graph.create_snapshot(metadata={"a certain tag": "of a certain value"})
        await graph.hold(first.backup_id, "somebody who holds")
        (graph_dir / "kv_store_doc_status.json").write_bytes(
            (graph_dir / "kv_store_doc_status.json").read_bytes() + b" "
        )
        second = await graph.create_snapshot(metadata={"a certain tag": "of another value"})
        await graph.release(first.backup_id, "somebody who holds")
        await graph.delete_snapshot(first.backup_id)
        await graph.prune(wait_s=0)
        snapshot = await graph.create_snapshot()
        source_text = b"".join(path.read_bytes() for path in graph_dir.iterdir() if path.is_file())
        ids = set(re.findall(rb"(?:doc|chunk|ent|rel)-[0-9a-f]{32}", source_text))
        assert len(ids) > 20
        secrets = [
            *ids,
            b"works with",
            b"report-3.txt",
            b"certain tag",
            b"certain value",
            b"somebody who holds",
            b"correct horse",
            os.fsencode(graph_dir),
            os.fsencode(graph_dir.name),
            b"lightrag_version",
            b"source_dir",
            first.backup_id.encode(),
            second.backup_id.encode(),
            bytes.fromhex(snapshot.data_hash),
            b"unfenced",
        ]
        for item in snapshot.items:
            secrets += [os.fsencode(item.name), bytes.fromhex(item.sha256)]
    assert_nothing_shows(storage, secrets, [path for path in graph_dir.iterdir() if path.is_file()])
    assert {path.name for path in storage.iterdir()} == {"graphs"}
    cached = [path.name for path in (storage / "graphs/support/cache").iterdir()]
    assert any(name.startswith("sources-") for name in cached)
    label = hashlib.sha256(os.fsencode(graph_dir)).hexdigest()[:32]
    assert f"sources-{label}" not in cached


def test_what_a_killed_run_leaves_shows_nothing_either(tmp_path: Path, program: Program) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a name of some length").write_bytes(os.urandom(1 << 20) * 60 + b"x")
    for part in range(6):
        (source / f"another name {part}").write_bytes(os.urandom(20 << 20))
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "secret"
    tmp = program.storage / "graphs/kept/tmp"
    with program.started("--storage", program.storage, "snapshot", "kept", source) as process:
        for _ in range(3000):
            if tmp.is_dir() and any(path.stat().st_size for path in tmp.glob("*.pack")):
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp.glob("*.pack"))
    assert_nothing_shows(program.storage, [b"a name of some length", b"another name", b"secret"], [])
    content = (source / "another name 0").read_bytes()
    left = b"".join(path.read_bytes() for path in stored_files(program.storage))
    assert not any(content[at : at + 16] in left for at in range(0, len(content), 1 << 16))


async def test_the_data_hash_is_the_same_and_the_bytes_are_others(tmp_path: Path, folder: Path) -> None:
    plain = await BackupManager(tmp_path / "plain").register_graph("g", folder).create_snapshot()
    sealed = await BackupManager(tmp_path / "sealed", passphrase="p").register_graph("g", folder).create_snapshot()
    assert plain.data_hash == sealed.data_hash
    again = await BackupManager(tmp_path / "again", passphrase="p").register_graph("g", folder).create_snapshot()
    assert again.data_hash == sealed.data_hash
    names = [{path.name for path in (tmp_path / which / "graphs/g/packs").iterdir()} for which in ("sealed", "again")]
    assert names[0].isdisjoint(names[1])


def test_no_repr_and_no_message_says_the_passphrase(tmp_path: Path, folder: Path) -> None:
    from lightrag_bkp import config
    from lightrag_bkp.secret import Secret

    environ = {"LIGHTRAG_BACKUP_PASSPHRASE": "swordfish", "LIGHTRAG_BACKUP_STORAGE_PATH": str(tmp_path / "s")}
    settings = config.load(environ, tmp_path)
    manager = sync.BackupManager(tmp_path / "s", passphrase="swordfish")
    graph = manager.register_graph("g", folder)
    graph.create_snapshot()
    with pytest.raises(LockedError) as wrong:
        sync.BackupManager(tmp_path / "s", passphrase="swordfisH").register_graph("g").list_snapshots()
    shown = [repr(settings), repr(manager.manager.keyring), repr(Secret.passphrase("swordfish")), str(wrong.value)]
    shown += [repr(vars(manager.manager)), repr(vars(graph.graph)), repr(wrong.value)]
    assert not any("swordfis" in text for text in shown)


def test_a_passphrase_that_is_no_text_is_refused_and_shown_nowhere(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="half a character") as refused:
        sync.BackupManager(tmp_path / "storage", passphrase="hunter2-\ud800")
    with sync.BackupManager(tmp_path / "storage", passphrase="p") as manager:
        manager.register_graph("g", folder).create_snapshot()
        with pytest.raises(InvalidInputError, match="half a character") as added:
            manager.add_passphrase("hunter2-\ud800")
    for caught in (refused, added):
        assert caught.value.__context__ is None
        assert "hunter2" not in "".join(traceback.format_exception(caught.value)).replace('"hunter2-\\ud800"', "")


def test_the_program_neither_logs_nor_passes_on_the_passphrase(program: Program, folder: Path) -> None:
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "swordfish"
    ran = program("-v", "snapshot", "kept", folder)
    assert "swordfish" not in ran.out + ran.err
    help_ = program.bare("snapshot", "-h").out
    assert "--passphrase-file" in help_ and not re.search(r"--passphrase[ =]", help_)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_passphrase_file_anybody_can_read_is_warned_of_once(
    program: Program, folder: Path, tmp_path: Path, mode: int, warned: bool
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("swordfish")
    file.chmod(mode)
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE_FILE"] = str(file)
    ran = program("snapshot", "kept", folder)
    assert ran.err.count("may be read by anybody on this host: chmod 600 it") == warned
    assert "swordfish" not in ran.out + ran.err


def test_a_holder_without_the_key_can_check_chain_sizes_and_names(tmp_path: Path, folder: Path) -> None:
    """What a replica's host can do: follow docs/format.md's clear headers, and hash."""
    graph = sync.BackupManager(tmp_path / "storage", passphrase="p").register_graph("g", folder)
    for text in ("first", "second"):
        (folder / "notes").write_text(text)
        graph.create_snapshot()
    root, previous, named = tmp_path / "storage/graphs/g", bytes(32), {}
    for number, path in enumerate(sorted((root / "log").iterdir())):
        entry = path.read_bytes()
        magic, seal, said, before = entry[:8], entry[12], struct.unpack_from("<Q", entry, 32)[0], entry[72:104]
        graph_bytes, packs = struct.unpack_from("<HxxI", entry, 136)
        assert (magic, seal, said, before) == (b"lrblog01", 1, number, previous)
        assert entry[152 : 152 + graph_bytes] == b"g"
        for place in range(packs):
            name, size = struct.unpack_from("<32sQ", entry, 152 + graph_bytes + 40 * place)
            named[name.hex()] = size
        previous = hashlib.sha256(entry).digest()
    assert len(named) == 2
    for name, size in named.items():
        pack = (root / "packs" / name).read_bytes()
        assert (hashlib.sha256(pack).hexdigest(), len(pack)) == (name, size)


# ---- coming back ----


async def test_a_sealed_graph_lives_a_whole_life(graph_dir: Path, tmp_path: Path) -> None:
    storage, passphrase_file = tmp_path / "storage", tmp_path / "passphrase"
    passphrase_file.write_bytes("pässword\n".encode())
    async with BackupManager(storage, passphrase_file=passphrase_file) as manager:
        graph = manager.register_graph("g", graph_dir)
        first = await graph.create_snapshot()
        assert (await graph.create_snapshot()).stored_bytes <= 4096
        shutil.copy(graph_dir / "kv_store_full_docs.json", graph_dir / "kv_store_full_entities.json")
        await graph.create_snapshot()
        assert (await graph.verify_snapshot()).ok
        await graph.restore(first.backup_id, tmp_path / "target")
        assert check.findings(tmp_path / "target") == []
        await graph.delete_snapshot(first.backup_id)
        await graph.prune(wait_s=0)
        assert (await graph.verify_snapshot()).ok
    async with BackupManager(storage, passphrase="pässword") as manager:
        found = manager.get_graph("g")
        assert found is not None
        await found.restore("latest", tmp_path / "again")
        assert manager.get_total_stats()["total_snapshots"] == 2
    async with graphs.opened(tmp_path / "again") as rag:
        assert await rag.chunk_entity_relation_graph.get_all_labels()


def test_many_equal_files_are_stored_once(tmp_path: Path) -> None:
    """Duplicates are looked up in packs of the same run that have left memory, sealed as they are."""
    source = tmp_path / "source"
    source.mkdir()
    blocks = [os.urandom(900_000) for _ in range(30)]
    for number in range(60):
        (source / f"{number:03}").write_bytes(blocks[number % 30])
    graph = sync.BackupManager(tmp_path / "storage", passphrase="p").register_graph("g", source)
    snapshot = graph.create_snapshot()
    assert 27_000_000 < snapshot.stored_bytes < 27_200_000
    graph.restore(snapshot.backup_id, tmp_path / "target")
    assert all((tmp_path / "target" / path.name).read_bytes() == path.read_bytes() for path in source.iterdir())


def test_flipped_bytes_are_found_in_sealed_objects_too(tmp_path: Path, folder: Path) -> None:
    """Every byte: tests/c/test_pack_sealed.c and test_entry.c."""
    whole, storage, key = tmp_path / "whole", tmp_path / "storage", key_file(tmp_path / "key")
    sync.BackupManager(whole, key_file=key).register_graph("g", folder).create_snapshot()
    objects = [*(whole / "graphs/g/packs").iterdir(), whole / "graphs/g/log/00000000000000000001"]
    for path in objects:
        size = path.stat().st_size
        for at in range(0, size, size // 12):
            shutil.rmtree(storage, ignore_errors=True)
            shutil.copytree(whole, storage)
            copy = storage / path.relative_to(whole)
            copy.chmod(0o640)
            content = bytearray(copy.read_bytes())
            content[at] ^= 4
            copy.write_bytes(content)
            with sync.BackupManager(storage, key_file=key) as manager:
                try:
                    found = [one.object for one in manager.register_graph("g").verify_snapshot().findings]
                except LightragBkpError as error:
                    found = [str(error.target)]
            assert any(path.name in name for name in found), (path, at, found)


# ---- what opens ----


def test_a_wrong_passphrase_is_one_sentence_however_wrong(tmp_path: Path, folder: Path) -> None:
    storage = tmp_path / "storage"
    sync.BackupManager(storage, passphrase="a passphrase").register_graph("g", folder).create_snapshot()
    said = set()
    for wrong in ("b", "a passphras", "a passphrasE", "a passphrase ", "x" * 4000):
        with pytest.raises(LockedError) as error:
            sync.BackupManager(storage, passphrase=wrong).register_graph("g").list_snapshots()
        said.add(str(error.value))
    assert said == {f"{storage}: the passphrase is wrong: it opens none of the key slots here"}


def test_passphrases_are_added_and_removed_for_all_graphs(tmp_path: Path, folder: Path) -> None:
    storage = tmp_path / "storage"
    with sync.BackupManager(storage, passphrase="old") as manager:
        manager.register_graph("one", folder).create_snapshot()
        manager.register_graph("two", folder).create_snapshot()
        (old,) = manager.list_key_slots()
        assert (old.kind, old.in_use) == ("passphrase", True)
        new = manager.add_passphrase("new")
    copy = tmp_path / "copy"
    shutil.copytree(storage / "graphs/one/keys", copy)
    with sync.BackupManager(storage, passphrase="new") as manager:
        manager.register_graph("three", folder).create_snapshot()
        with pytest.raises(NotFoundError):
            manager.remove_passphrase("zzz")
        assert manager.remove_passphrase(old.slot_id[:8]) == old.slot_id
        assert [slot.slot_id for slot in manager.list_key_slots()] == [new]
        with pytest.raises(InvalidInputError, match="last way"):
            manager.remove_passphrase(new)
    for name in ("one", "two", "three"):
        assert {path.name for path in (storage / "graphs" / name / "keys").iterdir()} == {new, f"{old.slot_id}.removed"}
    shutil.copytree(copy, storage / "graphs/one/keys", dirs_exist_ok=True)  # the removed slot, from an old copy
    with pytest.raises(LockedError):
        sync.BackupManager(storage, passphrase="old").register_graph("one").list_snapshots()
    with sync.BackupManager(storage, passphrase="new") as manager:
        manager.register_graph("one", folder).create_snapshot()
    assert not (storage / "graphs/one/keys" / old.slot_id).exists()


def test_a_slot_lost_in_one_graph_is_opened_from_anothers_copy(tmp_path: Path, folder: Path) -> None:
    storage = tmp_path / "storage"
    with sync.BackupManager(storage, passphrase="p") as manager:
        manager.register_graph("one", folder).create_snapshot()
        manager.register_graph("two", folder).create_snapshot()
    shutil.rmtree(storage / "graphs/one/keys")
    with sync.BackupManager(storage, passphrase="p") as manager:
        graph = manager.register_graph("one", folder)
        assert len(graph.list_snapshots()) == 1
        assert not (storage / "graphs/one/keys").exists()
        graph.create_snapshot()  # who writes brings it back
    assert len(list((storage / "graphs/one/keys").iterdir())) == 1


@pytest.mark.parametrize("at", [8, 100, None])
def test_a_slot_broken_in_one_graph_locks_nothing_and_is_mended(tmp_path: Path, folder: Path, at: int | None) -> None:
    """By a flipped byte, or (None) cut short: what cannot be read is no sign of another key."""
    storage = tmp_path / "storage"
    with sync.BackupManager(storage, passphrase="p") as manager:
        manager.register_graph("one", folder).create_snapshot()
        manager.register_graph("two", folder).create_snapshot()
        kit = key_file(tmp_path / "kit", manager.recovery_kit().encode())
    slot = next((storage / "graphs/one/keys").iterdir())
    whole = slot.read_bytes()
    slot.write_bytes(whole[:100] if at is None else whole[:at] + bytes([whole[at] ^ 6]) + whole[at + 1 :])
    for passphrase, kit_file in (("p", None), (None, kit)):
        with sync.BackupManager(storage, passphrase=passphrase, key_file=kit_file) as manager:
            graph = manager.register_graph("one", folder)
            assert len(graph.list_snapshots()) == 1
            (finding,) = graph.verify_snapshot().findings
            assert finding.object == f"keys/{slot.name}" and "another graph's copy" in finding.message
    with sync.BackupManager(storage, passphrase="p") as manager:
        graph = manager.register_graph("one", folder)
        graph.create_snapshot()  # who writes mends it
        assert slot.read_bytes() == whole and graph.verify_snapshot().ok


def test_a_slot_of_another_storage_path_is_passed_over_and_named(tmp_path: Path, folder: Path) -> None:
    """Although the same passphrase opens it, and whichever of the two comes first."""
    one, two = tmp_path / "one", tmp_path / "two"
    for storage in (one, two):
        with sync.BackupManager(storage, passphrase="p") as manager:
            manager.register_graph("g", folder).create_snapshot()
    slots = [next((storage / "graphs/g/keys").iterdir()) for storage in (one, two)]
    for storage, slot in ((one, slots[1]), (two, slots[0])):
        shutil.copy(slot, storage / "graphs/g/keys")
        with sync.BackupManager(storage, passphrase="p") as manager:
            graph = manager.register_graph("g", folder)
            graph.create_snapshot()
            (finding,) = graph.verify_snapshot().findings
            assert finding.object == f"keys/{slot.name}" and "not made with the key" in finding.message
        (storage / "graphs/g/keys" / slot.name).unlink()


def test_a_removal_that_the_key_did_not_make_is_named_and_closes_nothing(
    tmp_path: Path, folder: Path, program: Program
) -> None:
    """It has the right name, key id and digest, but no MAC: whoever can write to the storage path can make that."""
    storage, kit = tmp_path / "storage", tmp_path / "kit"
    with sync.BackupManager(storage, passphrase="p") as manager:
        manager.register_graph("g", folder).create_snapshot()
        key_file(kit, manager.recovery_kit().encode())
        (slot,) = manager.list_key_slots()
    whole = (storage / "graphs/g/keys" / slot.slot_id).read_bytes()
    forged = whole[:10] + b"\3" + bytes(5) + whole[16:64] + bytes(80) + b"?" * 32
    removal = storage / "graphs/g/keys" / f"{slot.slot_id}.removed"
    removal.write_bytes(forged + hashlib.sha256(forged).digest())
    with sync.BackupManager(storage, passphrase="p") as manager:
        graph = manager.register_graph("g", folder)
        graph.create_snapshot()
        (finding,) = graph.verify_snapshot().findings
        assert finding.object == f"keys/{removal.name}" and "not made with the key" in finding.message
    answer = program("passphrase", "list", "--storage", storage, "--key-file", kit)
    assert slot.slot_id[:12] in answer.out and removal.name in answer.err
    without = program("passphrase", "list", "--storage", storage).out
    assert "without the key it cannot be told" in without and "no passphrase opens it" not in without


def test_slots_that_are_put_there_keep_out_nobody_who_was_there_before(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than anybody tries, each asking for half the work of the true one: it is known by its digest."""
    storage, state = tmp_path / "storage", tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    with sync.BackupManager(storage, passphrase="p") as manager:
        manager.register_graph("g", folder).create_snapshot()
        (slot,) = manager.list_key_slots()
    keys = storage / "graphs/g/keys"
    whole = (keys / slot.slot_id).read_bytes()
    for _ in range(300):
        name = os.urandom(16)
        forged = whole[:11] + bytes((14, 8, 1)) + whole[14:16] + name + whole[32:64] + os.urandom(32) + whole[96:176]
        (keys / name.hex()).write_bytes(forged + hashlib.sha256(forged).digest())
    with sync.BackupManager(storage, passphrase="p") as manager:
        assert len(manager.require_graph("g").list_snapshots()) == 1
    (remembered,) = state.glob("lightrag-bkp/*.slot")
    assert remembered.read_text().split()[0] == whole[176:].hex() and not remembered.parent.stat().st_mode & 0o077
    remembered.write_text("nonsense")  # costs the others' time, and nothing else
    shutil.rmtree(keys)
    keys.mkdir()
    (keys / slot.slot_id).write_bytes(whole)
    with sync.BackupManager(storage, passphrase="p") as manager:
        assert len(manager.require_graph("g").list_snapshots()) == 1
    assert remembered.read_text().split()[0] == whole[176:].hex()


def test_slots_that_are_all_of_another_storage_path_hide_nothing(tmp_path: Path, folder: Path) -> None:
    """What the key opens is its own, whatever lies in keys/; the next backup puts a right slot back."""
    one, two, kit = tmp_path / "one", tmp_path / "two", tmp_path / "kit"
    for storage in (one, two):
        with sync.BackupManager(storage, passphrase="p") as manager:
            manager.register_graph("g", folder).create_snapshot()
            if storage == one:
                key_file(kit, manager.recovery_kit().encode())
    shutil.rmtree(one / "graphs/g/keys")
    shutil.copytree(two / "graphs/g/keys", one / "graphs/g/keys")
    with sync.BackupManager(one, key_file=kit) as manager:
        graph = manager.register_graph("g", folder)
        graph.restore("latest", tmp_path / "target")
        assert (tmp_path / "target/notes").read_text() == "first"
        (finding,) = graph.verify_snapshot().findings
        assert "not made with the key" in finding.message
    with sync.BackupManager(two, key_file=kit) as manager, pytest.raises(LockedError, match="another one"):
        manager.register_graph("g").list_snapshots()


def test_a_recovery_kit_is_a_key_file(tmp_path: Path, folder: Path) -> None:
    storage, kit = tmp_path / "storage", tmp_path / "kit"
    with sync.BackupManager(storage, passphrase="p") as manager:
        manager.register_graph("g", folder).create_snapshot()
        key_file(kit, manager.recovery_kit().encode())
    shutil.rmtree(storage / "graphs/g/keys")  # all slots lost
    with pytest.raises(LockedError, match="key slots of this storage path are gone"):
        sync.BackupManager(storage, passphrase="p").register_graph("g").list_snapshots()
    with sync.BackupManager(storage, key_file=kit) as manager:
        manager.register_graph("g").restore("latest", tmp_path / "target")
    assert (tmp_path / "target/notes").read_text() == "first"
    text = kit.read_text()
    digit = text[-12]
    kit.write_text(text[:-12] + ("0" if digit != "0" else "1") + text[-11:])
    with pytest.raises(ConfigurationError, match="typing error"):
        sync.BackupManager(storage, key_file=kit).register_graph("g").list_snapshots()


def test_a_key_file_is_its_owners_alone(tmp_path: Path, folder: Path) -> None:
    storage, key = tmp_path / "storage", key_file(tmp_path / "key")
    with sync.BackupManager(storage, key_file=key) as manager:
        manager.register_graph("g", folder).create_snapshot()
        assert [(slot.kind, slot.in_use) for slot in manager.list_key_slots()] == [("key file", False)]
        manager.add_passphrase("p")
    with sync.BackupManager(storage, passphrase="p") as manager:
        assert len(manager.register_graph("g").list_snapshots()) == 1
    with pytest.raises(LockedError, match="another one"):
        sync.BackupManager(storage, key_file=key_file(tmp_path / "other")).register_graph("g").list_snapshots()
    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="may be read by others: chmod 600"):
        sync.BackupManager(storage, key_file=key).register_graph("g").list_snapshots()
    key.chmod(0o600)
    key.write_bytes(b"31 bytes are no key............")
    with pytest.raises(ConfigurationError, match="is no key file"):
        sync.BackupManager(storage, key_file=key).register_graph("g").list_snapshots()


# ---- what is refused ----


def test_sealed_and_unsealed_never_mix(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    sync.BackupManager(plain).register_graph("g", folder).create_snapshot()
    sync.BackupManager(sealed, passphrase="p").register_graph("g", folder).create_snapshot()

    with pytest.raises(LockedError, match="is sealed: name its passphrase or key file"):
        sync.BackupManager(sealed).register_graph("g", folder).create_snapshot()
    with pytest.raises(LockedError, match="this graph would not be"):
        sync.BackupManager(sealed).register_graph("beside", folder).create_snapshot()
    for name in ("g", "beside"):
        with pytest.raises(LockedError, match="not sealed, but a passphrase or key file is named"):
            sync.BackupManager(plain, passphrase="p").register_graph(name, folder).create_snapshot()
    assert sorted(path.name for path in (plain / "graphs").iterdir()) == [".sealing", "g"]
    assert sorted(path.name for path in (sealed / "graphs").iterdir()) == [".sealing", "g"]

    monkeypatch.setenv("LIGHTRAG_BACKUP_PASSPHRASE", "p")  # holds wherever the storage path comes from
    assert len(sync.BackupManager(sealed).register_graph("g").list_snapshots()) == 1
    with pytest.raises(LockedError):
        sync.BackupManager(plain).register_graph("g").list_snapshots()


async def test_one_passphrase_is_asked_for_once_for_many_graphs(tmp_path: Path, folder: Path) -> None:
    import asyncio

    storage = tmp_path / "storage"
    async with BackupManager(storage, passphrase="p") as manager:
        made = [manager.register_graph(f"g{number}", folder) for number in range(12)]
        await asyncio.gather(*(graph.create_snapshot() for graph in made))
    async with BackupManager(storage, passphrase="p") as manager:
        began = time.process_time()
        stats = manager.get_total_stats()
        assert stats["total_snapshots"] == 12
        assert time.process_time() - began < 6 * 0.1  # twelve derivations would take twice that


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"PASSPHRASE": "a", "PASSPHRASE_FILE": "b"}, "LIGHTRAG_BACKUP_PASSPHRASE and LIGHTRAG_BACKUP_PASSPHRASE_FILE"),
        ({"PASSPHRASE": "a", "KEY_FILE": "b"}, "are both set"),
    ],
)
def test_two_secrets_are_one_too_many(program: Program, folder: Path, names: dict[str, str], said: str) -> None:
    program.environ.update({f"LIGHTRAG_BACKUP_{name}": value for name, value in names.items()})
    assert said in program.sentence("snapshot", "kept", folder, code=2)


def test_secrets_that_cannot_be_read_are_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    for argument, said in (("empty", "is empty"), ("missing", "No such file"), (".", "Is a directory")):
        with pytest.raises(ConfigurationError, match=said):
            manager = sync.BackupManager(tmp_path / "storage", passphrase_file=tmp_path / argument)
            manager.register_graph("g", folder).create_snapshot()


# ---- the program ----


def test_the_program_keeps_and_changes_passphrases(program: Program, folder: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old\n")
    new.write_text("new\n")
    program("snapshot", "kept", folder, "--passphrase-file", old)
    assert "wrong" in program("list", "--passphrase-file", new, code=1).err
    (slot,) = program.json("passphrase", "list")["slots"]
    assert (slot["kind"], slot["in_use"]) == ("passphrase", False)
    program("passphrase", "add", "--passphrase-file", old, "--new-passphrase-file", new)
    assert "is removed" in program("passphrase", "remove", slot["slot_id"][:10], "--passphrase-file", new).out
    assert program.json("passphrase", "list", "--passphrase-file", new)["slots"][0]["in_use"]
    kit = key_file(tmp_path / "kit", program("passphrase", "export", "--passphrase-file", new).out.encode())
    program("restore", "kept", "latest", tmp_path / "target", "--key-file", kit)
    assert (tmp_path / "target/notes").read_text() == "first"
    assert program.sentence("passphrase", "export", code=1).endswith("name one")
    assert "no terminal" in program.sentence("passphrase", "add", "--key-file", kit, code=2)


def test_a_passphrase_is_typed_twice_at_a_terminal(program: Program, folder: Path) -> None:
    import pty

    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "first"
    program("snapshot", "kept", folder)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(program.directory)
        os.environ.update(program._environment())
        words = ["-m", "lightrag_bkp.cli", "--storage", str(program.storage), "passphrase", "add"]
        os.execv(sys.executable, [sys.executable, *words])
    seen = b""
    for _ in range(2):
        while not seen.endswith(b": "):
            seen += os.read(terminal, 4096)
        os.write(terminal, b"second\n")
        seen = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert os.waitpid(pid, 0)[1] == 0
    assert b"passphrase added" in seen and b"second" not in seen
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "second"
    assert len(program.json("list")["snapshots"]) == 1


def test_the_file_of_settings_names_secrets(program: Program, folder: Path) -> None:
    (program.directory / "words").write_text("p")
    (program.directory / "lightrag-bkp.toml").write_text(
        f'storage_path = "storage"\npassphrase_file = "words"\n[graphs.kept]\nsource_dir = "{folder}"\n'
    )
    program.bare("snapshot", "kept")
    assert (program.storage / "graphs/kept/keys").is_dir()
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "another"  # beats the file
    assert "the passphrase is wrong" in program.bare("list", code=1).err


def test_the_passphrase_is_not_among_the_arguments(program: Program, folder: Path) -> None:
    program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "swordfish"
    (folder / "big").write_bytes(os.urandom(30 << 20))
    with program.started("--storage", program.storage, "snapshot", "kept", folder) as process:
        time.sleep(0.2)
        told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        program.ended(process, 0)
    assert "swordfish" not in told
