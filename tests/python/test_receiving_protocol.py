"""What sender and receiver agree on: acknowledgements nobody else can make, digests of parts, lists of packs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrag_bkp.receiving import protocol
from lightrag_bkp.receiving.protocol import Acknowledgement

SAID = Acknowledgement("alpha", "ab" * 16, 2, 43, "cd" * 32, 44, 12, 98765432, [42], 1_700_000_000_000_000, "ef" * 16)
PACKS = [(bytes([number]) * 32, 1000 + number) for number in range(3)]


def over_the_wire(document: dict[str, object]) -> dict[str, object]:
    return dict(json.loads(json.dumps(document)))


def test_an_acknowledgement_comes_back_as_it_was_said() -> None:
    assert protocol.checked(over_the_wire(SAID.signed("a key")), "a key", SAID.nonce) == SAID


@pytest.mark.parametrize("member", [*SAID.signed("a key"), "another"])
def test_an_acknowledgement_with_any_member_changed_is_none(member: str) -> None:
    changed = over_the_wire(SAID.signed("a key")) | {member: 7}
    assert protocol.checked(changed, "a key", SAID.nonce) is None


@pytest.mark.parametrize(("key", "nonce"), [("another key", SAID.nonce), ("a key", "00" * 16)])
def test_an_acknowledgement_under_another_key_or_of_another_request_is_none(key: str, nonce: str) -> None:
    assert protocol.checked(SAID.signed("a key"), key, nonce) is None


@pytest.mark.parametrize("algorithm", ["sha-256", "adler"])
def test_a_part_is_compared_with_its_digest(algorithm: str) -> None:
    header = protocol.content_digest(b"part", algorithm)
    found = protocol.digest_of(f"sha-512=:AAAA:, {header}")
    assert found == protocol.digest_of(header) and found is not None
    assert found.is_of(b"part") and not found.is_of(b"pars")


def test_of_several_digests_the_strongest_counts() -> None:
    weak, strong = (protocol.content_digest(b"part", name) for name in ("adler", "sha-256"))
    assert protocol.digest_of(f"{weak}, {strong}") == protocol.digest_of(strong)


@given(st.text(st.characters(max_codepoint=255)))
def test_a_digest_header_is_a_digest_or_none(header: str) -> None:
    found = protocol.digest_of(header)
    assert found is None or len(found.value) in (4, 32)


def test_lists_of_packs_are_equal_in_whatever_order_they_were_named() -> None:
    assert protocol.encode_needs(PACKS) == protocol.encode_needs(reversed(PACKS))
    assert protocol.decode_needs(protocol.encode_needs(PACKS)) == PACKS


@pytest.mark.parametrize(
    "stored",
    [
        protocol.encode_needs(PACKS)[:-1],
        protocol.encode_needs([PACKS[0], PACKS[0]]),
        protocol.encode_needs(PACKS[1:]) + protocol.encode_needs(PACKS[:1]),
        protocol.encode_needs([(b"x" * 32, 0)]),
        protocol.encode_needs([(b"x" * 32, 1 << 63)]),
    ],
    ids=["cut", "twice", "descending", "empty pack", "size bomb"],
)
def test_what_is_no_list_of_packs_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="list of packs"):
        protocol.decode_needs(stored)
