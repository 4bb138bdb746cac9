"""The OpenAPI document at its word: requests made from it, good and bad ones, by Schemathesis. No answer is a 5xx, none
is undocumented, and each has the shape that is said of it.
"""

from collections import Counter
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.serving import Kept, taken
from support.web import KEY, Web, application, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.replication import ReplicationManager

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 10
"""For each operation."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The OpenAPI document of everything, served, with a small graph that has a snapshot."""
    place: Path = tmp_path_factory.mktemp("whole")
    (place / "notes").mkdir()
    (place / "notes" / "first").write_text("text")
    backup = BackupManager(place / "storage")
    backup.register_graph("notes", place / "notes")
    replication = ReplicationManager(storage_path=place / "storage")
    managers = backup, replication, DisasterRecoveryManager(backup, replication)
    with serving(application(*managers)) as url:
        taken(Web(url), Kept("notes", place / "notes"))
        point = Web(url).waited("POST", "/recovery/checkpoints", {"graph_ids": ["notes"], "description": "now"})
        KNOWN["checkpoint_id"] = point.document["checkpoint_id"]
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


KNOWN = {"graph_id": "notes", "snapshot_id": "latest"}
"""What is really there, in place of what good requests would make up."""


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_made_from_the_document_are_answered_as_it_says(whole: Any, mode: GenerationMode) -> None:
    statuses: Counter[int] = Counter()

    def holds(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and case.path_parameters:
            case.path_parameters.update({name: KNOWN[name] for name in case.path_parameters if name in KNOWN})
        answer = case.call(headers={"X-API-Key": KEY})
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    tried = [result.ok() for result in whole.get_all_operations()]
    for operation in tried:
        check = given(case=operation.as_strategy(generation_mode=mode))(holds)
        with nothing_to_do_wrong(mode):
            settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(check)()
    print(f"{mode}: {len(tried)} operations, answers {dict(sorted(statuses.items()))}")
    assert len(tried) >= 39 and statuses[422 if mode is GenerationMode.NEGATIVE else 200]


def nothing_to_do_wrong(mode: GenerationMode) -> AbstractContextManager[None]:
    """What takes no parameter cannot be asked for in a wrong way."""
    return suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext()
