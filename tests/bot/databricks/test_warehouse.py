"""Our side of a SQL warehouse: the real connector against a loopback one that misbehaves."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from databricks.sql.thrift_api.TCLIService.ttypes import TOperationState

from bot.databricks import connection as connections
from bot.databricks.auth import ServicePrincipal
from bot.databricks.connection import MAX_AGE, MAX_USES, send_once
from bot.databricks.failures import Failure, StatementRefused
from bot.databricks.warehouse import CHANGE_SECONDS, Warehouse
from moderation.catalogue import WRITE_SECONDS
from moderation.errors import CatalogueUnavailable, OutcomeUnknown
from tests.bot.databricks.support import Stage
from tests.loopback.certs import Certificates
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.operations import Hold
from tests.loopback.databricks.refusals import Refused
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration

INSERT = "INSERT INTO t VALUES (:n)"


@pytest.fixture(autouse=True)
def table(stage: Stage) -> None:
    stage.engine.run("CREATE TABLE t (n INT)", [])


def rows(stage: Stage) -> list[int]:
    return sorted(n for (n,) in stage.engine.query("SELECT n FROM t"))


class TestStatements:
    async def test_rows_and_counts(self, stage: Stage, warehouse: Warehouse) -> None:
        assert await warehouse.change(INSERT, {"n": 1}) == 1
        assert await warehouse.change("UPDATE t SET n = 2") == 1
        assert await warehouse.read("SELECT n, :p FROM t", {"p": Decimal("0.10")}) == [(2, Decimal("0.10"))]
        assert warehouse.outcomes == {"ok": 3}

    async def test_a_server_that_does_not_report_counts_puts_them_into_the_result(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.service.reports_rows = False
        assert await warehouse.change("INSERT INTO t VALUES (1), (2)") == 2

    async def test_values_are_bound_not_written_into_the_text(self, stage: Stage, warehouse: Warehouse) -> None:
        assert await warehouse.read("SELECT :x", {"x": "'); DROP TABLE t; --"}) == [("'); DROP TABLE t; --",)]
        assert "DROP" not in stage.service.executed[-1].statement

    async def test_a_refusal_names_its_class_and_what_to_do_and_quotes_nothing(self, warehouse: Warehouse) -> None:
        with pytest.raises(StatementRefused, match="DATABRICKS_PRODUCTS_TABLE") as refused:
            await warehouse.read("SELECT 'secret' FROM nowhere WHERE 1 = :x", {"x": 1})
        assert refused.value.error_class == "TABLE_OR_VIEW_NOT_FOUND"
        assert not refused.value.retryable
        assert "secret" not in str(refused.value)
        assert "nowhere" not in str(refused.value)

    async def test_statements_are_given_a_limit_and_the_zone(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.read("SELECT 1")
        await warehouse.change(INSERT, {"n": 1})
        told = [(each["STATEMENT_TIMEOUT"], each["TIMEZONE"]) for each in stage.service.sessions.values()]
        assert told == [("20", "UTC"), ("8", "UTC")]
        assert CHANGE_SECONDS < WRITE_SECONDS, "the warehouse gives up before whoever asked"

    async def test_nothing_else_is_asked_of_the_workspace(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.read("SELECT 1")
        assert set(stage.workspace.requests) == {("POST", stage.part.path)}


class TestOnce:
    """A change is carried out once or not at all, and what cannot be known is said to be unknown."""

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(body=b"INSERT", when="after", drop=True),
            Fault(body=b"INSERT", when="after", status=503, headers={"Retry-After": "1"}),
            Fault(body=b"INSERT", when="after", status=500),
            Fault(body=b"INSERT", when="after", malformed="garbage"),
            Fault(body=b"INSERT", when="after", malformed="truncated"),
        ],
        ids=["drop", "503", "500", "garbage", "truncated"],
    )
    async def test_an_answer_that_is_lost_after_the_change(self, stage: Stage, warehouse: Warehouse, fault: Fault) -> None:
        stage.faults.append(fault)
        with pytest.raises(OutcomeUnknown, match="look again"):
            await warehouse.change(INSERT, {"n": 1})
        assert rows(stage) == [1]
        assert await warehouse.change(INSERT, {"n": 2}) == 1
        assert rows(stage) == [1, 2]

    async def test_a_change_that_never_arrived(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.faults.append(Fault(body=b"INSERT", drop=True))
        with pytest.raises(OutcomeUnknown):
            await warehouse.change(INSERT, {"n": 1})
        assert rows(stage) == []

    async def test_a_query_is_sent_again(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.faults.append(Fault(body=b"SELECT", when="after", drop=True))
        assert await warehouse.read("SELECT 7") == [(7,)]
        assert warehouse.outcomes == {"lost": 1, "ok": 1}

    async def test_a_query_that_is_lost_twice_is_given_up(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.faults.append(Fault(body=b"SELECT", drop=True, times=2))
        with pytest.raises(CatalogueUnavailable, match="did not answer"):
            await warehouse.read("SELECT 7")

    async def test_logs_hold_neither_statements_nor_values_nor_tokens(
        self, stage: Stage, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.faults += [Fault(body=b"SELECT", drop=True, times=2), Fault(body=b"INSERT", when="after", malformed="garbage")]
        with caplog.at_level(logging.INFO):
            for ask in (warehouse.read("SELECT :x AS hidden", {"x": "secret"}), warehouse.change(INSERT, {"n": 123454321})):
                with pytest.raises((CatalogueUnavailable, OutcomeUnknown)):
                    await ask
            with pytest.raises(StatementRefused):
                await warehouse.read("SELECT hidden FROM t WHERE 'secret' = 'x'")
        assert not [word for word in ("secret", "hidden", "123454321", "dapi-") if word in caplog.text]

    async def test_a_server_that_dies_in_the_middle(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.service.patience = 0.05
        stage.service.holds.append(hold := Hold("INSERT"))
        changing = asyncio.create_task(warehouse.change(INSERT, {"n": 1}))
        await asyncio.to_thread(hold.begun.wait)
        await stage.workspace.stop()
        with pytest.raises(OutcomeUnknown):
            await changing
        await stage.workspace.start()
        hold.go.set()
        assert await warehouse.read("SELECT 1") == [(1,)]

    @pytest.mark.parametrize("state", [TOperationState.TIMEDOUT_STATE, TOperationState.CANCELED_STATE])
    async def test_a_statement_that_the_warehouse_stops_is_no_empty_result(self, stage: Stage, warehouse: Warehouse, state: int) -> None:
        stage.service.holds += [held := Hold("INSERT", ends=state), also := Hold("SELECT", ends=state), again := Hold("SELECT", ends=state)]
        for hold in (held, also, again):
            hold.go.set()
        with pytest.raises(OutcomeUnknown, match="stopped"):
            await warehouse.change(INSERT, {"n": 1})
        with pytest.raises(CatalogueUnavailable, match="stopped"):
            await warehouse.read("SELECT 1")

    @pytest.mark.parametrize("kind", ["alert", "garbage", ""])
    async def test_over_https_too(self, kind: Literal["alert", "garbage", ""], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        certificates = Certificates()
        (authority := tmp_path / "ca.pem").write_bytes(certificates.authority_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        stage = Stage(tls=certificates.server_context())
        async with stage.workspace, stage.client() as warehouse:
            stage.engine.run("CREATE TABLE t (n INT)", [])
            stage.faults.append(Fault(body=b"INSERT", when="after", tls=kind, drop=True))
            with pytest.raises(OutcomeUnknown, match="look again"):
                await warehouse.change(INSERT, {"n": 1})
            assert rows(stage) == [1]
            stage.faults.append(Fault(body=b"SELECT 7", when="after", tls=kind, drop=True))
            assert await warehouse.read("SELECT 7") == [(7,)]
            assert await warehouse.change(INSERT, {"n": 2}) == 1

    async def test_a_connector_that_cannot_be_kept_from_it_is_not_used(self) -> None:
        class FakeConnection:
            """Of a later version, in which the policy has another name."""

            closed = False

            class session:  # noqa: N801 (the connector's name)
                backend = object()

            def close(self) -> None:
                self.closed = True

        connection = FakeConnection()
        with pytest.raises(Failure, match=r"Install version 4\.9"):
            send_once(connection)  # type: ignore[arg-type]
        assert connection.closed


class TestSessions:
    async def test_an_expired_session_is_replaced_and_the_change_made_once(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.change(INSERT, {"n": 1})
        stage.part.expire_sessions()
        assert await warehouse.change(INSERT, {"n": 2}) == 1
        assert rows(stage) == [1, 2]
        assert warehouse.outcomes == {"ok": 2, "session-gone": 1}

    async def test_connections_are_replaced_when_they_are_old(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.read("SELECT 1")
        stage.clock.now += MAX_AGE - 1
        await warehouse.read("SELECT 1")
        assert stage.service.opened == 1
        stage.clock.now += 1
        await warehouse.read("SELECT 1")
        assert (stage.service.opened, stage.service.closed) == (2, 1)

    async def test_and_when_they_were_used_much(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "MAX_USES", 3)
        assert MAX_USES > 3
        async with stage.client(readers=1) as warehouse:
            for _ in range(7):
                await warehouse.read("SELECT 1")
        assert (stage.service.opened, stage.service.closed) == (3, 3)

    async def test_sessions_are_ended_in_their_own_threads_and_never_by_the_collector(self, stage: Stage) -> None:
        async with stage.client() as warehouse:
            await asyncio.gather(*(warehouse.read("SELECT 1") for _ in range(4)))
        await warehouse.aclose()
        assert stage.service.sessions == {}
        del warehouse
        before = len(stage.workspace.requests)
        gc.collect()
        assert len(stage.workspace.requests) == before

    async def test_a_closed_warehouse_says_so(self, warehouse: Warehouse) -> None:
        await warehouse.aclose()
        with pytest.raises(CatalogueUnavailable, match="stopping"):
            await warehouse.read("SELECT 1")

    async def test_the_hook_for_unhandled_errors_stays_pythons(self, warehouse: Warehouse) -> None:
        before = sys.excepthook
        await warehouse.read("SELECT 1")
        assert sys.excepthook is before

    async def test_a_warehouse_that_is_stopped_is_told_and_then_comes(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.part.stop(starting_takes=90)
        with pytest.raises(CatalogueUnavailable, match="Try again"):
            await warehouse.change(INSERT, {"n": 1})
        stage.clock.now += 90
        assert await warehouse.change(INSERT, {"n": 1}) == 1

    async def test_a_workspace_that_restarted_in_between_is_not_noticed(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.read("SELECT 1")
        await stage.workspace.stop()
        await stage.workspace.start()
        assert await warehouse.change(INSERT, {"n": 1}) == 1
        assert warehouse.outcomes == {"ok": 2}

    async def test_a_workspace_that_is_gone_is_told_and_comes_back(self, stage: Stage, warehouse: Warehouse) -> None:
        await warehouse.read("SELECT 1")
        await stage.workspace.stop()
        with pytest.raises(CatalogueUnavailable, match="cannot be reached"):
            await warehouse.change(INSERT, {"n": 1})
        await stage.workspace.start()
        assert await warehouse.change(INSERT, {"n": 1}) == 1


class TestWhoAsks:
    async def test_a_wrong_token(self, stage: Stage) -> None:
        async with stage.client(token="dapi-wrong") as warehouse:
            with pytest.raises(CatalogueUnavailable, match="DATABRICKS_TOKEN") as refused:
                await warehouse.read("SELECT 1")
        assert "dapi-wrong" not in str(refused.value)

    async def test_a_token_without_permission(self, stage: Stage) -> None:
        stage.tokens.forbidden.add("dapi-loopback")
        async with stage.client() as warehouse:
            with pytest.raises(StatementRefused, match="CAN USE"):
                await warehouse.read("SELECT 1")

    async def test_a_service_principal_whose_token_ends_in_between(self, stage: Stage) -> None:
        oauth = OAuthPart(stage.tokens)
        async with LoopbackWorkspace(oauth) as identity, aiohttp.ClientSession() as session:
            principal = ServicePrincipal(session, identity.url, "loopback-client", "loopback-secret")
            warehouse = Warehouse(stage.address, principal)
            await warehouse.change(INSERT, {"n": 1})
            oauth.revoke()
            assert await warehouse.change(INSERT, {"n": 2}) == 1
            await identity.stop()
            principal.rejected(await principal.headers())
            with pytest.raises(CatalogueUnavailable, match="cannot be reached for a token"):
                await warehouse.change(INSERT, {"n": 3})
            await warehouse.aclose()
        assert rows(stage) == [1, 2]
        assert len(oauth.given) == 2


class TestPatience:
    async def test_no_more_wait_than_there_is_room_for(self, stage: Stage) -> None:
        stage.service.holds.append(hold := Hold("SELECT 1"))
        async with stage.client(readers=1, max_waiting=2) as warehouse:
            first = asyncio.create_task(warehouse.read("SELECT 1"))
            await asyncio.to_thread(hold.begun.wait)
            waiting = [asyncio.create_task(warehouse.read("SELECT 2")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(CatalogueUnavailable, match="Too many"):
                await warehouse.read("SELECT 3")
            hold.go.set()
            assert await asyncio.gather(first, *waiting) == [[(1,)], [(2,)], [(2,)]]
            assert warehouse.outcomes["full"] == 1

    async def test_a_change_that_takes_too_long_has_an_unknown_outcome_and_none_overtakes_it(
        self, stage: Stage, warehouse: Warehouse
    ) -> None:
        await warehouse.change("DELETE FROM t")
        warehouse._changes.seconds = 0.5
        stage.service.holds.append(hold := Hold("INSERT"))
        with pytest.raises(OutcomeUnknown, match=r"within 0\.5 seconds"):
            await warehouse.change(INSERT, {"n": 1})
        with pytest.raises(CatalogueUnavailable, match="busy"):
            await warehouse.change(INSERT, {"n": 2})
        assert await warehouse.read("SELECT n FROM t") == [], "queries have threads of their own"
        hold.go.set()
        warehouse._changes.seconds = 20.0
        assert await warehouse.change(INSERT, {"n": 3}) == 1
        assert rows(stage) == [1, 3]

    async def test_a_slow_token_is_not_waited_for_any_longer_than_the_warehouse(self, stage: Stage) -> None:
        oauth = OAuthPart(stage.tokens)
        async with LoopbackWorkspace(oauth) as identity, aiohttp.ClientSession() as session:
            identity.faults.append(Fault("/oidc", hang=True))
            principal = ServicePrincipal(session, identity.url, "loopback-client", "loopback-secret")
            warehouse = Warehouse(stage.address, principal, change_seconds=0.1)
            with pytest.raises(CatalogueUnavailable, match="no token in time"):
                await warehouse.change(INSERT, {"n": 1})
            await warehouse.aclose()
        assert stage.service.executed == []

    async def test_what_was_not_sent_in_time_is_never_sent(self, stage: Stage) -> None:
        stage.faults.append(Fault(body=b"OpenSession", hang=True))
        async with stage.client(change_seconds=0.3) as warehouse:
            with pytest.raises(CatalogueUnavailable, match="not ready in time"):
                await warehouse.change(INSERT, {"n": 1})
            stage.workspace.released.set()
        assert stage.service.executed == []

    async def test_who_is_cancelled_leaves_the_thread_to_finish(self, stage: Stage) -> None:
        stage.service.holds.append(hold := Hold("INSERT"))
        async with stage.client(readers=1) as warehouse:
            changing = asyncio.create_task(warehouse.change(INSERT, {"n": 1}))
            await asyncio.to_thread(hold.begun.wait)
            changing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await changing
            hold.go.set()
            assert await warehouse.read("SELECT n FROM t") == [(1,)]

    async def test_the_event_loop_goes_on_meanwhile(self, stage: Stage, warehouse: Warehouse) -> None:
        stage.service.holds.append(hold := Hold("SELECT"))
        asking = asyncio.create_task(warehouse.read("SELECT 1"))
        await asyncio.to_thread(hold.begun.wait)
        await asyncio.sleep(0)
        assert not asking.done()
        hold.go.set()
        await asking

    async def test_conflicts_are_repeated_a_few_times(self, stage: Stage, warehouse: Warehouse) -> None:
        lost = Refused("DELTA_CONCURRENT_APPEND", "2D521", "Files were added by a concurrent update.")
        stage.service.refusals += [lost, lost]
        assert await warehouse.change(INSERT, {"n": 1}) == 1
        stage.service.refusals += [lost] * 4
        with pytest.raises(CatalogueUnavailable, match="same time"):
            await warehouse.change(INSERT, {"n": 2})
        assert rows(stage) == [1]


def test_threads_of_a_hung_warehouse_do_not_keep_the_process() -> None:
    program = (
        "import threading; from bot.databricks.worker import Worker\n"
        "worker = Worker('hung'); begun = threading.Event()\n"
        "worker.submit(lambda: (begun.set(), threading.Event().wait())); begun.wait()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 (our own)


def test_the_connector_is_not_imported_before_it_is_needed() -> None:
    program = (
        "import sys; import bot.databricks.products, bot.databricks.warehouse, bot.databricks.auth\n"
        "assert not {'databricks', 'pandas', 'thrift'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 (our own)


async def test_a_thread_starts_when_it_is_needed_and_ends_when_it_is_closed(stage: Stage) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("databricks-")]

    async with stage.client() as warehouse:
        assert threads() == []
        await warehouse.read("SELECT 1")
        [thread] = threads()
    await asyncio.to_thread(thread.join, 10)
    assert threads() == []
