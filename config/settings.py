"""Every setting, typed and described. `Settings.load` reads the environment and `.env` and reports all problems at once.

    environment ──┐
    .env ─────────┴─▶ names known? ─▶ each value valid? ─▶ do they fit together? ─▶ Settings, or InvalidSettings with everything found

Making a `Settings` directly reads nothing: it takes what it is given, and defaults.
"""

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from config import checks, reference
from config.conflicts import conflicts
from config.envfile import read_env_file
from config.kinds import EmbeddedUse, FlaggingProvider, LogFormat, LogLevel, ScoreType, WorkloadSize
from config.loading import EnvironmentSource, InvalidSettings, present, unknown, validate
from config.output_specs import EndpointName, Spec
from config.reference import SettingRow

__all__ = ["FlaggingProvider", "InvalidSettings", "LogFormat", "LogLevel", "ScoreType", "SettingRow", "Settings", "WorkloadSize"]

SAMPLE_LEXICON = checks.LEXICONS / "sample.json"
"""Placeholders and mild insults only: for trying the bot."""
STARTER_LEXICON = checks.LEXICONS / "starter.json"
"""The sample, and phrases that threaten, tell somebody to die, or hate."""
LEXICON_PRESETS = checks.LEXICONS / "presets"


def _setting(group: str, description: str, default: object = None, *, expects: str = "", shown: str = "", **more: Any) -> Any:  # noqa: ANN401
    """A field. `expects` completes "… is not …"; `shown` describes a default that is worked out."""
    return Field(default, description=description, json_schema_extra={"group": group, "expects": expects, "default": shown}, **more)


_DISCORD, _SPEECH, _FLAGGING = "Discord", "Speech recognition", "Finding abuse"
_STORAGE, _API, _LOGS, _DATABRICKS, _DEPLOY = "Data", "HTTP side", "Logs", "Databricks", "Deploying the toxicity model to Databricks"

_Token = Annotated[SecretStr, AfterValidator(checks.token)]
_Json = BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)
_Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
_Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
_Capital = BeforeValidator(lambda value: value.capitalize() if isinstance(value, str) else value)


class Settings(BaseSettings):
    """All settings; a field's name in lower case is the environment's name in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=False, allow_inf_nan=False)

    discord_token: _Token | None = _setting(
        _DISCORD, "The bot's token, from Discord's developer portal (Bot, Reset Token). Needed by `run`.", expects="a bot token"
    )

    shard_count: int | None = _setting(
        _DISCORD,
        "How many shards all processes together have. Discord wants one for every 2500 servers at most.",
        expects="a whole number from 1 to 16384",
        shown="as many as Discord advises, all in this process",
        ge=1,
        le=checks.MAX_SHARDS,
    )
    shard_ids: Annotated[tuple[int, ...], NoDecode, BeforeValidator(checks.shard_ids)] = _setting(
        _DISCORD,
        "Which of them this process runs, such as `0-3` or `0,2`; the others are other processes', on the same PostgreSQL database.",
        (),
        expects="shards such as 0,1 or 0-3, each once",
        shown="all",
    )

    vosk_model_path: str | None = _setting(_SPEECH, "Folder of an unpacked Vosk model (https://alphacephei.com/vosk/models).")
    vosk_model_name: str | None = _setting(
        _SPEECH, "Name of a Vosk model to download when VOSK_MODEL_PATH is not set, such as `vosk-model-small-en-us-0.15`."
    )
    vosk_language: str | None = _setting(
        _SPEECH, "Language whose small Vosk model is downloaded when neither path nor name is set, such as `en-us`."
    )
    earshot_workers: int | None = _setting(
        _SPEECH, "Threads that recognise speech.", expects="a whole number from 1 to 256", shown="one for each core", ge=1, le=256
    )

    earshot_vad: bool = _setting(
        _SPEECH,
        "Whether noise on an open microphone is told from speech first and not decoded: it saves most of its CPU.",
        True,
        expects="true or false",
    )

    flagging_provider: Annotated[FlaggingProvider, _Lower] = _setting(
        _FLAGGING,
        "What finds abuse: `lexicon`, `databricks` or `lexicon+databricks`.",
        FlaggingProvider.LEXICON,
        expects="one of lexicon, databricks, lexicon+databricks",
        shown="`lexicon+databricks` when a serving endpoint is set, else `lexicon`",
    )
    flag_terms_path: Annotated[Path, BeforeValidator(checks.lexicon)] = _setting(
        _FLAGGING,
        "Lexicon file (JSON; `python -m bot lexicon import` makes one from other formats), or the name of one that comes along: `sample` "
        "(placeholders and mild insults, for trying) or `starter` (threats and calls to self-harm, too).",
        SAMPLE_LEXICON,
        shown="sample",
    )
    toxicity_threshold: float = _setting(
        _FLAGGING, "Score from 0 to 1 at which a text counts as toxic.", 0.7, expects="a number from 0 to 1", ge=0, le=1
    )
    earshot_score_deadline_seconds: float = _setting(
        _FLAGGING,
        "Seconds that the serving endpoint has for a sentence's score, waiting and retries included. Lexicon alerts do not wait for it.",
        2.5,
        expects="a number of seconds from 0.1 to 60",
        ge=0.1,
        le=60,
    )
    earshot_embedded_scorer: Annotated[EmbeddedUse, _Lower] = _setting(
        _FLAGGING,
        "The toxicity scorer that comes along, in calls: `on` scores every sentence, `stand-in` those that the serving endpoint does not "
        "answer in time, `off` none. Without an endpoint it always answers `/predict text`.",
        EmbeddedUse.STAND_IN,
        expects="one of off, stand-in, on",
    )
    score_every_seconds: float = _setting(
        _FLAGGING,
        "Shortest time in seconds between two scores of one live stream on `/ws/flag-audio/`.",
        1.0,
        expects="a number of seconds from 0.05 to 3600",
        ge=0.05,
        le=3600,
    )
    earshot_evidence_seconds: float = _setting(
        _FLAGGING,
        "Seconds of each speaker's latest audio that are held in memory for the clip on an alert; 0 holds none.",
        30.0,
        expects="a number of seconds from 0 to 300",
        ge=0,
        le=300,
    )

    earshot_data_dir: Path = _setting(_STORAGE, "Folder for what the bot keeps; made if need be.", Path("./data"), shown="./data")
    earshot_retention_days: int = _setting(
        _STORAGE,
        "Days that transcripts and alerts are kept; servers may choose fewer. 0 keeps nothing beyond the session.",
        30,
        expects="a whole number of days from 0 to 3650",
        ge=0,
        le=3650,
    )
    database_url: Annotated[SecretStr, AfterValidator(checks.database_url)] = _setting(
        _STORAGE,
        "Database: `sqlite:///path/to/file.db` or `postgresql://user:password@host/name`.",
        SecretStr(""),
        shown="a SQLite file `earshot.db` in EARSHOT_DATA_DIR",
    )

    earshot_catalogue_refresh_seconds: float = _setting(
        _STORAGE,
        "How often, in seconds, the copy of the product catalogue is loaded again; own changes are seen at once. "
        "A SQL warehouse is asked that often while people use the catalogue, and once a day otherwise.",
        60.0,
        expects="a number of seconds from 1 to 86400",
        ge=1,
        le=86_400,
    )

    api_host: Annotated[str, AfterValidator(checks.bind_host)] = _setting(
        _API, "Address the HTTP side listens on. Anything but loopback needs API_TOKEN.", "127.0.0.1"
    )
    api_port: int = _setting(
        _API, "Port the HTTP side listens on; 0 takes a free one.", 8080, expects="a port number from 0 to 65535", ge=0, le=65535
    )
    api_token: _Token | None = _setting(
        _API,
        "Clients send it as `Authorization: Bearer …`; then everything but `/health` and `/ready` needs it. 16 characters or more where "
        "API_HOST is not loopback.",
        expects="a token",
    )
    api_read_token: _Token | None = _setting(
        _API, "A second token, for those who may look and change nothing; needs API_TOKEN beside it.", expects="a token"
    )
    api_requests_per_minute: float = _setting(
        _API,
        "Requests that one address may send in a minute; 0 is no limit.",
        1200,
        expects="a number from 0 to 1000000",
        ge=0,
        le=1_000_000,
    )
    earshot_webhook_url: Annotated[str, AfterValidator(checks.web_address)] | None = _setting(
        _API,
        "Address that every alert is sent to, signed as Standard Webhooks says; it holds what was said. Needs EARSHOT_WEBHOOK_SECRET.",
        expects="an address such as https://example.org/hook",
    )
    earshot_webhook_secret: Annotated[SecretStr, AfterValidator(checks.webhook_secret)] | None = _setting(
        _API, "Key of the webhook's signatures: 24 characters or more, or base64 after `whsec_`.", expects="a key"
    )
    api_max_body_mb: float = _setting(
        _API,
        "Largest request body in megabytes (1,000,000 bytes).",
        25.0,
        expects="a number of megabytes above 0, at most 1000",
        gt=0,
        le=1000,
    )

    log_level: Annotated[LogLevel, _Upper] = _setting(
        _LOGS,
        "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`. `DEBUG` shows Earshot's own details only: libraries' would quote people.",
        LogLevel.INFO,
        expects="one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    )
    log_format: Annotated[LogFormat, _Lower] = _setting(
        _LOGS, "`console` for people, `json` for one JSON object a line.", LogFormat.CONSOLE, expects="one of console, json"
    )

    databricks_host: Annotated[str, AfterValidator(checks.workspace)] | None = _setting(
        _DATABRICKS, "The workspace, such as `https://dbc-1234abcd.cloud.databricks.com`."
    )
    databricks_token: _Token | None = _setting(
        _DATABRICKS, "Personal access token; takes precedence over the client id and secret.", expects="a token"
    )
    databricks_client_id: str | None = _setting(_DATABRICKS, "Client id of a service principal (OAuth machine-to-machine).")
    databricks_client_secret: _Token | None = _setting(_DATABRICKS, "Its client secret.", expects="a secret")
    databricks_endpoint: Annotated[str, AfterValidator(checks.endpoint)] | None = _setting(
        _DATABRICKS,
        "Name (or URL) of the model serving endpoint that scores toxicity.",
        validation_alias=AliasChoices("databricks_endpoint", "databricks_serving_endpoint_name"),
    )
    databricks_server_hostname: Annotated[str, AfterValidator(checks.hostname)] | None = _setting(
        _DATABRICKS, "Host name of the SQL warehouse.", shown="the host of DATABRICKS_HOST"
    )
    databricks_http_path: Annotated[str, AfterValidator(checks.http_path)] | None = _setting(
        _DATABRICKS,
        "HTTP path of the SQL warehouse, such as `/sql/1.0/warehouses/1234567890abcdef`. With it the product catalogue lives there.",
    )
    databricks_products_table: Annotated[str, AfterValidator(checks.table_name)] = _setting(
        _DATABRICKS,
        "Table of the product catalogue, `catalog.schema.table`; made if need be. One that is there needs `product_name` and `price`.",
        "products",
    )
    databricks_input_column: str = _setting(_DATABRICKS, "Name of the column in which the endpoint takes the text.", "text")
    databricks_score_type: Annotated[ScoreType, _Lower] | None = _setting(
        _DATABRICKS,
        "How the endpoint's score is to be read: `probability_0_1`, `percent_0_100`, `logit` or `none` (labels only).",
        expects="one of probability_0_1, percent_0_100, logit, none",
        shown="told from the answer",
    )
    databricks_score_field: Annotated[str, AfterValidator(checks.answer_path)] | None = _setting(
        _DATABRICKS, "Where the score stands in the answer, such as `predictions.0.score`.", shown="told from the answer"
    )
    databricks_label_field: Annotated[str, AfterValidator(checks.answer_path)] | None = _setting(
        _DATABRICKS, "Where the label stands in the answer, such as `predictions.0.label`.", shown="told from the answer"
    )
    databricks_positive_class: str | None = _setting(
        _DATABRICKS, "The label that means toxic, such as `toxic` or `1`.", shown="told from the answer"
    )
    databricks_endpoint_output_specs: Annotated[dict[EndpointName, Spec], NoDecode, _Json] = _setting(
        _DATABRICKS,
        'How to read the answers of several endpoints, as JSON: `{"endpoint name": {"score_type": …, "score_field": …}}`.',
        {},
        expects="a JSON object that gives an object for each endpoint's name",
    )

    databricks_model_full_name: Annotated[str, AfterValidator(checks.model_name)] | None = _setting(
        _DEPLOY, "Name of the registered model, `catalog.schema.model`. Needed by `deploy-model-serving`."
    )
    databricks_model_version: int | None = _setting(
        _DEPLOY,
        "Version of the registered model to serve, in place of the scorer that comes along.",
        expects="a whole number from 1",
        shown="the scorer that comes along, registered if need be",
        ge=1,
    )
    databricks_workload_size: Annotated[WorkloadSize, _Capital] = _setting(
        _DEPLOY, "`Small`, `Medium` or `Large`.", WorkloadSize.SMALL, expects="one of Small, Medium, Large"
    )
    databricks_scale_to_zero: bool = _setting(
        _DEPLOY,
        "Whether the endpoint may stop while unused. The first call afterwards waits for minutes, too long for live calls.",
        False,
        expects="true or false",
    )
    databricks_served_entity_name: Annotated[str, AfterValidator(checks.served_name)] | None = _setting(
        _DEPLOY, "Name of the served entity in the endpoint.", shown="the model's name and version"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `load` alone looks at the environment."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Defaults that hang on other settings."""
        values = dict(values)
        endpoint = values.get("databricks_endpoint") or values.get("databricks_serving_endpoint_name")
        values.setdefault("flagging_provider", FlaggingProvider.BOTH if endpoint else FlaggingProvider.LEXICON)
        data_dir = Path(values.get("earshot_data_dir", cls.model_fields["earshot_data_dir"].default))
        values.setdefault("database_url", SecretStr(f"sqlite+aiosqlite:///{data_dir / 'earshot.db'}"))
        host = values.get("databricks_host")
        if isinstance(host, str) and (name := checks.host_of(host)):
            values.setdefault("databricks_server_hostname", name)
        return values

    @classmethod
    def load(cls, env_file: str | Path | None = ".env", *, required: Collection[str] = ()) -> Self:
        """Settings from the environment and, where it says nothing, from `env_file`.

        Args:
            env_file: need not exist; None reads none.
            required: names, such as `DISCORD_TOKEN`, without which the caller cannot do its work; `A|B` where one of several will do.

        Raises:
            InvalidSettings: with every problem there is.
        """
        from_file, problems = read_env_file(Path(env_file)) if env_file is not None else ({}, [])
        given = {**present(from_file), **present(os.environ)}
        problems += unknown(given, present(from_file), cls)
        settings, wrong, found = validate(cls, EnvironmentSource(cls, given)())
        problems += found
        problems += [text for names, text in conflicts(settings, given) if not wrong & set(names)]
        for names in (alternatives.split("|") for alternatives in required):
            if not wrong & set(names) and all(getattr(settings, name.lower()) is None for name in names):
                about = str(cls.model_fields[names[0].lower()].description).rstrip(".")
                problems.append(f"{' or '.join(names)}: it is not set; set it in the environment or in .env ({about})")
        if problems:
            raise InvalidSettings(problems, settings)
        return settings

    def describe(self) -> list[SettingRow]:
        """Every setting with its value in force; secrets are hidden."""
        return reference.describe(self)


def settings_table() -> str:
    """A Markdown table of all settings, for the README."""
    return reference.settings_table(Settings)


def env_example() -> str:
    """The text of `.env.example`."""
    return reference.env_example(Settings)


if __name__ == "__main__":
    sys.stdout.write(env_example())
