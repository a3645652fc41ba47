"""How a serving endpoint's answer is to be read, where that is not told from the answer."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from config.checks import WrongValue, answer_path, endpoint_name
from config.kinds import ScoreType


class OutputSpec(BaseModel):
    """What `DATABRICKS_SCORE_*` say, for one endpoint; None: told from the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    score_type: ScoreType | None = None
    score_field: Annotated[str, AfterValidator(answer_path)] | None = None
    """Dotted path; its first number stands for the text's place in the request."""
    label_field: Annotated[str, AfterValidator(answer_path)] | None = None
    positive_class: str | None = None
    """The label that means toxic."""


def read_spec(value: object) -> object:
    """One endpoint's spec, from JSON; raises `WrongValue` naming what in it is wrong."""
    if not isinstance(value, dict):
        return value
    try:
        return OutputSpec.model_validate({name: _text(name, each) for name, each in value.items()})
    except ValidationError as error:
        problems = [_problem(each) for each in error.errors(include_url=False, include_input=False)]
        raise WrongValue(f"{'; '.join(problems)}; an endpoint may have {', '.join(OutputSpec.model_fields)}") from None


def _text(name: str, value: object) -> object:
    """Labels such as 1 and true may come without quotes."""
    return str(value) if name == "positive_class" and isinstance(value, int | str) else value


def _problem(detail: Any) -> str:  # noqa: ANN401 (pydantic's)
    name = ".".join(str(part) for part in detail["loc"])
    inner = detail.get("ctx", {}).get("error")
    if isinstance(inner, WrongValue):
        return f"{name}: {str(inner).partition(';')[0]}"
    return f"{name}: " + ("there is no such field" if detail["type"] == "extra_forbidden" else "it has a wrong value")


Spec = Annotated[OutputSpec, BeforeValidator(read_spec)]
EndpointName = Annotated[str, AfterValidator(endpoint_name)]
