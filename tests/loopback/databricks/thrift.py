"""The Thrift side of a warehouse: the connector's own generated service, answered from an `Engine`."""

import uuid
from dataclasses import dataclass
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from databricks.sql.thrift_api.TCLIService.ttypes import TOperationState, TProtocolVersion, TStatusCode

from tests.loopback.databricks.engine import Engine
from tests.loopback.databricks.operations import Hold, Operation
from tests.loopback.databricks.refusals import Refused
from tests.loopback.databricks.results import Table, metadata, row_set

_OK = ttypes.TStatus(TStatusCode.SUCCESS_STATUS)


@dataclass(slots=True)
class Executed:
    """One statement that was sent, whatever came of it."""

    statement: str
    parameters: list[Any]


class Service(TCLIService.Iface):
    """Sessions and operations. Methods run in threads; the names are the protocol's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.patience = 5.0
        """Seconds that an answer waits for a statement's end: a client polls without a pause."""
        self.reports_rows = True
        """Whether a change says how many rows beside its result; older servers do not."""
        self.holds: list[Hold] = []
        self.refusals: list[Refused] = []
        """Said instead of carrying out the next statements, one each."""
        self.executed: list[Executed] = []
        self.sessions: dict[bytes, dict[str, str]] = {}
        """Configuration by session."""
        self.opened = 0
        self.closed = 0
        self._operations: dict[bytes, Operation] = {}

    def OpenSession(self, req: Any) -> Any:  # noqa: ANN401, N802
        guid = uuid.uuid4().bytes
        self.sessions[guid] = dict(req.configuration or {})
        self.opened += 1
        return ttypes.TOpenSessionResp(
            status=_OK,
            serverProtocolVersion=TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8,
            sessionHandle=ttypes.TSessionHandle(ttypes.THandleIdentifier(guid=guid, secret=guid)),
            canUseMultipleCatalogs=True,
            initialNamespace=req.initialNamespace,
        )

    def CloseSession(self, req: Any) -> Any:  # noqa: ANN401, N802
        self.closed += 1
        known = self.sessions.pop(req.sessionHandle.sessionId.guid, None) is not None
        return ttypes.TCloseSessionResp(_OK if known else _invalid("SessionHandle", req.sessionHandle.sessionId.guid))

    def ExecuteStatement(self, req: Any) -> Any:  # noqa: ANN401, N802
        guid = req.sessionHandle.sessionId.guid
        if guid not in self.sessions:
            return ttypes.TExecuteStatementResp(_invalid("SessionHandle", guid))
        parameters = req.parameters or []
        self.executed.append(Executed(req.statement, parameters))
        operation = Operation(req.statement, lambda: self._run(req.statement, parameters), self.holds)
        self._operations[operation.guid] = operation
        answer = ttypes.TExecuteStatementResp(_OK, operation.handle)
        if req.getDirectResults is not None and operation.done.wait(self.patience):
            answer.directResults = self._direct(operation, req.getDirectResults.maxRows)
        return answer

    def GetOperationStatus(self, req: Any) -> Any:  # noqa: ANN401, N802
        operation = self._operations.get(req.operationHandle.operationId.guid)
        if operation is None:
            return ttypes.TGetOperationStatusResp(_invalid("OperationHandle", req.operationHandle.operationId.guid))
        operation.done.wait(self.patience)
        return self._status(operation)

    def GetResultSetMetadata(self, req: Any) -> Any:  # noqa: ANN401, N802
        operation = self._operations.get(req.operationHandle.operationId.guid)
        if operation is None:
            return ttypes.TGetResultSetMetadataResp(_invalid("OperationHandle", req.operationHandle.operationId.guid))
        return metadata(operation.table)

    def FetchResults(self, req: Any) -> Any:  # noqa: ANN401, N802
        operation = self._operations.get(req.operationHandle.operationId.guid)
        if operation is None:
            return ttypes.TFetchResultsResp(_invalid("OperationHandle", req.operationHandle.operationId.guid))
        return self._fetch(operation, req.maxRows)

    def CancelOperation(self, req: Any) -> Any:  # noqa: ANN401, N802
        if operation := self._operations.get(req.operationHandle.operationId.guid):
            operation.cancel()
        return ttypes.TCancelOperationResp(_OK)

    def CloseOperation(self, req: Any) -> Any:  # noqa: ANN401, N802
        self._operations.pop(req.operationHandle.operationId.guid, None)
        return ttypes.TCloseOperationResp(_OK)

    def _run(self, statement: str, parameters: list[Any]) -> Table:
        if self.refusals:
            raise self.refusals.pop(0)
        return self.engine.run(statement, parameters)

    def _direct(self, operation: Operation, rows: int) -> Any:  # noqa: ANN401
        direct = ttypes.TSparkDirectResults(operationStatus=self._status(operation))
        if operation.error is None:
            direct.resultSetMetadata = metadata(operation.table)
            direct.resultSet = self._fetch(operation, rows)
            if not direct.resultSet.hasMoreRows:
                self._operations.pop(operation.guid, None)
                direct.closeOperation = ttypes.TCloseOperationResp(_OK)
        return direct

    def _status(self, operation: Operation) -> Any:  # noqa: ANN401
        answer = ttypes.TGetOperationStatusResp(_OK, operationState=operation.state, hasResultSet=True)
        if operation.error is not None:
            answer.sqlState = operation.error.sqlstate
            answer.errorMessage = answer.displayMessage = str(operation.error)
        elif self.reports_rows and operation.state == TOperationState.FINISHED_STATE:
            answer.numModifiedRows = operation.table.modified
        return answer

    def _fetch(self, operation: Operation, rows: int) -> Any:  # noqa: ANN401
        start = operation.fetched
        operation.fetched = min(start + rows, len(operation.table.rows))
        return ttypes.TFetchResultsResp(
            status=_OK,
            hasMoreRows=operation.fetched < len(operation.table.rows),
            results=row_set(operation.table, start, rows),
            resultSetMetadata=metadata(operation.table),
        )


def _invalid(what: str, guid: bytes) -> Any:  # noqa: ANN401
    message = f"Invalid {what}: {what} [{uuid.UUID(bytes=guid)}]"
    return ttypes.TStatus(TStatusCode.ERROR_STATUS, sqlState="HY000", errorMessage=message, displayMessage=message)
