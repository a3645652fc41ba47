"""Settings: every problem at once, secrets never shown, the reference complete."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.conflicts import is_loopback
from config.kinds import FlaggingProvider, LogFormat, LogLevel, ScoreType, WorkloadSize
from config.output_specs import OutputSpec
from config.settings import SAMPLE_LEXICON, STARTER_LEXICON, InvalidSettings, Settings, env_example, settings_table

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ANYWHERE = "0.0.0.0"  # noqa: S104 (never bound here)
SECRET = "s3cr3t-value-that-nobody-may-see"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(
            ("DATABRICKS_", "EARSHOT_", "VOSK_", "API_", "LOG_", "DISCORD_", "FLAG", "TOXICITY_", "DATABASE_", "SCORE_", "SHARD_")
        ):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, required: tuple[str, ...] = ()) -> list[str]:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        Settings.load(required=required)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_nothing_set_gives_the_defaults() -> None:
    s = Settings.load()
    assert s.discord_token is None
    assert (s.api_host, s.api_port, s.api_max_body_mb) == ("127.0.0.1", 8080, 25.0)
    assert s.database_url.get_secret_value() == "sqlite+aiosqlite:///data/earshot.db"
    assert (s.flag_terms_path, s.toxicity_threshold, s.score_every_seconds) == (SAMPLE_LEXICON, 0.7, 1.0)
    assert (s.flagging_provider, s.log_level, s.log_format) == (FlaggingProvider.LEXICON, LogLevel.INFO, LogFormat.CONSOLE)
    assert (s.databricks_input_column, s.databricks_workload_size, s.databricks_scale_to_zero) == ("text", WorkloadSize.SMALL, False)
    assert s.databricks_endpoint_output_specs == {}


def test_the_environment_is_read_with_its_types(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "DISCORD_TOKEN": SECRET,
        "EARSHOT_DATA_DIR": "/var/lib/earshot",
        "API_HOST": ANYWHERE,
        "API_PORT": "0",
        "API_TOKEN": SECRET,
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "JSON",
        "DATABRICKS_HOST": "dbc-1.cloud.databricks.com/",
        "DATABRICKS_TOKEN": SECRET,
        "DATABRICKS_SERVING_ENDPOINT_NAME": "toxicity",
        "DATABRICKS_SCORE_TYPE": "percent_0_100",
        "DATABRICKS_SCORE_FIELD": "predictions.0.score",
        "DATABRICKS_SCALE_TO_ZERO": "yes",
        "DATABRICKS_WORKLOAD_SIZE": "large",
        "DATABRICKS_ENDPOINT_OUTPUT_SPECS": '{"toxicity": {"score_field": "a.b"}}',
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    s = Settings.load(required=["DISCORD_TOKEN"])
    assert s.discord_token is not None
    assert s.discord_token.get_secret_value() == SECRET
    assert s.database_url.get_secret_value() == "sqlite+aiosqlite:////var/lib/earshot/earshot.db"
    assert (s.api_host, s.api_port, s.log_level, s.log_format) == (ANYWHERE, 0, LogLevel.DEBUG, LogFormat.JSON)
    assert (s.databricks_host, s.databricks_server_hostname) == ("https://dbc-1.cloud.databricks.com", "dbc-1.cloud.databricks.com")
    assert (s.databricks_endpoint, s.flagging_provider) == ("toxicity", FlaggingProvider.BOTH)
    assert (s.databricks_score_type, s.databricks_scale_to_zero, s.databricks_workload_size) == (
        ScoreType.PERCENT,
        True,
        WorkloadSize.LARGE,
    )
    assert s.databricks_endpoint_output_specs == {"toxicity": OutputSpec(score_field="a.b")}


def test_all_problems_come_at_once_each_with_its_name_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "API_PORT": "eighty",
        "API_HOST": ANYWHERE,
        "TOXICITY_THRESHOLD": "nan",
        "LOG_FORMAT": "xml",
        "DATABASE_URL": f"mysql://user:{SECRET}@host/name",
        "DATABRICKS_HOST": "not a host",
        "DATABRICKS_CLIENT_SECRET": SECRET,
        "DATABRICKS_ENDPOINT_OUTPUT_SPECS": '{"a": 1}',
        "FLAGGING_PROVIDER": "databricks",
        "DATABRICKS_TOKN": SECRET,
        "EARSHOT_NOTHING_LIKE_IT": "x",
    }
    Path(".env").write_text("LOG_LEVEL=loud\nthis is no setting\n")
    found = problems(env, monkeypatch, required=("DISCORD_TOKEN",))
    by_name = {p.split(":")[0]: p for p in found}
    assert set(by_name) == {
        ".env",
        *(set(env) - {"API_HOST", "FLAGGING_PROVIDER", "DATABRICKS_CLIENT_SECRET"}),
        *("API_TOKEN", "DISCORD_TOKEN", "LOG_LEVEL", "DATABRICKS_ENDPOINT", "DATABRICKS_CLIENT_ID"),
    }
    assert len(found) == len(by_name)
    assert all("; " in p for p in found), "each says what to do"
    assert by_name["API_PORT"] == "API_PORT: 'eighty' is not a port number from 0 to 65535; correct it, or remove it to use the default"
    assert by_name["DATABRICKS_TOKN"] == "DATABRICKS_TOKN: there is no such setting; did you mean DATABRICKS_TOKEN?"
    assert by_name[".env"].startswith(".env: line 2 is not NAME=value")
    assert SECRET not in "\n".join(found)


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.5", "example.org"])
def test_an_address_that_others_reach_needs_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems({"API_HOST": host}, monkeypatch)[0].startswith("API_TOKEN: ")
    monkeypatch.setenv("API_TOKEN", SECRET)
    assert Settings.load().api_host == host


@pytest.mark.parametrize("name", ["API_TOKEN", "API_READ_TOKEN"])
def test_an_address_that_others_reach_needs_tokens_that_nobody_guesses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"API_HOST": ANYWHERE, "API_TOKEN": SECRET, "API_READ_TOKEN": "b" * 16, name: "a" * 15}
    assert problems(env, monkeypatch)[0].startswith(f"{name}: it has fewer than 16 characters, but API_HOST '{ANYWHERE}'")
    monkeypatch.setenv(name, "a" * 16)
    assert Settings.load().api_host == ANYWHERE
    monkeypatch.setenv("API_HOST", "127.0.0.1")
    monkeypatch.setenv(name, "a")
    assert Settings.load().api_host == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_none(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_HOST", host)
    assert is_loopback(Settings.load().api_host)


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"DATABRICKS_ENDPOINT": "e"}, {"DATABRICKS_HOST", "DATABRICKS_TOKEN"}),
        ({"DATABRICKS_ENDPOINT": "https://h.example/serving-endpoints/e/invocations"}, {"DATABRICKS_TOKEN"}),
        ({"DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/a", "DATABRICKS_SERVER_HOSTNAME": "h.example"}, {"DATABRICKS_TOKEN"}),
        ({"DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/a", "DATABRICKS_TOKEN": "t"}, {"DATABRICKS_HOST"}),
        ({"DATABRICKS_CLIENT_ID": "i"}, {"DATABRICKS_CLIENT_SECRET"}),
        ({"FLAGGING_PROVIDER": "lexicon+databricks"}, {"DATABRICKS_ENDPOINT"}),
        ({"DATABRICKS_HOST": "https://user:pw@h.example"}, {"DATABRICKS_HOST"}),
        ({"DATABRICKS_HOST": "https://h.example:port"}, {"DATABRICKS_HOST"}),
        ({"DATABRICKS_MODEL_FULL_NAME": "model"}, {"DATABRICKS_MODEL_FULL_NAME"}),
        ({"DATABRICKS_PRODUCTS_TABLE": "a.b.c.d"}, {"DATABRICKS_PRODUCTS_TABLE"}),
        ({"DATABRICKS_PRODUCTS_TABLE": "products; DROP TABLE x"}, {"DATABRICKS_PRODUCTS_TABLE"}),
        ({"DATABRICKS_SCORE_FIELD": "a..b"}, {"DATABRICKS_SCORE_FIELD"}),
        ({"DATABRICKS_SERVED_ENTITY_NAME": "a b"}, {"DATABRICKS_SERVED_ENTITY_NAME"}),
        ({"DATABRICKS_SERVER_HOSTNAME": "a b"}, {"DATABRICKS_SERVER_HOSTNAME"}),
        ({"DATABRICKS_HOST": "http://h.example"}, {"DATABRICKS_HOST"}),
        ({"DATABRICKS_ENDPOINT": "http://h.example/serving-endpoints/e/invocations", "DATABRICKS_TOKEN": "t"}, {"DATABRICKS_ENDPOINT"}),
        ({"DATABRICKS_SCORE_FIELD": "predictions.1.score"}, {"DATABRICKS_SCORE_FIELD"}),
        ({"DATABRICKS_ENDPOINT": "https://h.example/e", "DATABRICKS_TOKEN": "t"}, {"DATABRICKS_ENDPOINT"}),
        ({"DATABRICKS_ENDPOINT_OUTPUT_SPECS": "{"}, {"DATABRICKS_ENDPOINT_OUTPUT_SPECS"}),
        ({"DATABRICKS_ENDPOINT_OUTPUT_SPECS": '{"a b": {}}'}, {"DATABRICKS_ENDPOINT_OUTPUT_SPECS"}),
        ({"DISCORD_TOKEN": "Bot abc"}, {"DISCORD_TOKEN"}),
        ({"DATABASE_URL": "sqlite://"}, {"DATABASE_URL"}),
        ({"DATABASE_URL": "earshot.db"}, {"DATABASE_URL"}),
        ({"API_HOST": "http://localhost"}, {"API_HOST"}),
        ({"API_HOST": "300.1.1.1"}, {"API_HOST"}),
        ({"EARSHOT_WORKERS": "0"}, {"EARSHOT_WORKERS"}),
        ({"API_MAX_BODY_MB": "inf"}, {"API_MAX_BODY_MB"}),
        ({"VOSK_MODEL_PTH": "x"}, {"VOSK_MODEL_PTH"}),
    ],
)
def test_what_is_wrong_or_does_not_fit_together_is_named(env: dict[str, str], named: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert {p.split(":")[0] for p in problems(env, monkeypatch)} == named


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ('{"e": {"score_feld": "a"}}', "score_feld: there is no such field"),
        ('{"e": {"score_type": "percent"}}', "score_type: it has a wrong value"),
        ('{"e": {"score_field": "a.7"}}', "score_field: 'a.7' has a first number other than 0"),
    ],
)
def test_what_is_wrong_in_an_endpoints_spec_is_named(spec: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems({"DATABRICKS_ENDPOINT_OUTPUT_SPECS": spec}, monkeypatch)
    assert said in problem
    assert "an endpoint may have score_type, score_field, label_field, positive_class" in problem


def test_a_positive_class_may_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_ENDPOINT_OUTPUT_SPECS", '{"e": {"positive_class": 1}}')
    assert Settings.load().databricks_endpoint_output_specs["e"].positive_class == "1"


def test_the_two_names_of_the_endpoint_may_not_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"DATABRICKS_HOST": "h.example", "DATABRICKS_TOKEN": "t", "DATABRICKS_ENDPOINT": "a", "DATABRICKS_SERVING_ENDPOINT_NAME": "b"}
    assert problems(env, monkeypatch) == [
        "DATABRICKS_ENDPOINT: DATABRICKS_SERVING_ENDPOINT_NAME says something else; remove one of the two"
    ]
    monkeypatch.setenv("DATABRICKS_SERVING_ENDPOINT_NAME", "a")
    assert Settings.load().databricks_endpoint == "a"


def test_names_of_other_databricks_tools_are_let_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "work")
    Settings.load()


def test_empty_counts_as_unset_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("export API_PORT=9000\nLOG_LEVEL=\"WARNING\"\nAPI_TOKEN='a#b$c${HOME}'\nEARSHOT_TYPO=\n\n# a comment\n")
    monkeypatch.setenv("API_PORT", "  ")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("EARSHOT_WORKERS", "")
    s = Settings.load()
    assert (s.api_port, s.log_level, s.earshot_workers) == (9000, LogLevel.ERROR, None)
    assert s.api_token is not None
    assert s.api_token.get_secret_value() == "a#b$c${HOME}"


def test_bad_lines_of_an_env_file_are_named_by_number_and_not_quoted() -> None:
    Path(".env").write_text(f"\n\nAPI_PORT=1\n\n{SECRET} word\nNO_VALUE\nLOG_LEVEL='{SECRET}\n")
    with pytest.raises(InvalidSettings) as caught:
        Settings.load()
    assert [p.split(" is not")[0] for p in caught.value.problems] == [".env: line 5", ".env: line 6", ".env: line 7"]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"API_PORT=1\nLOG_LEVEL=\xff\xfe\n", b"\x00" * 1_000_001])
def test_an_env_file_that_is_no_text_is_a_problem(content: bytes) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"^\.env: "):
        Settings.load()


def test_an_env_file_that_is_a_directory_is_a_problem() -> None:
    Path(".env").mkdir()
    with pytest.raises(InvalidSettings, match="cannot be read"):
        Settings.load()


def test_an_env_file_with_a_byte_order_mark_is_read() -> None:
    Path(".env").write_text("﻿API_PORT=1\n", encoding="utf-8")
    assert Settings.load().api_port == 1


@given(st.binary(max_size=200))
def test_no_env_file_does_worse_than_a_problem(content: bytes) -> None:
    path = Path("any.env")
    path.write_bytes(content)
    with contextlib.suppress(InvalidSettings):
        Settings.load(path)


def test_secrets_are_never_shown() -> None:
    url = f"postgresql://u:{SECRET}@h/n"
    s = Settings.model_validate(
        {
            "discord_token": SECRET,
            "api_token": SECRET,
            "databricks_token": SECRET,
            "databricks_client_secret": SECRET,
            "database_url": url,
        }
    )
    shown = {row.name: row.value for row in s.describe()}
    assert SECRET not in repr(s) + str(s) + str(shown) + s.model_dump_json()
    assert {n for n, v in shown.items() if v == "********"} == {
        *("DISCORD_TOKEN", "API_TOKEN", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "DATABASE_URL")
    }


def test_describe_shows_values_in_force() -> None:
    rows = {row.name: row for row in Settings(api_port=9, databricks_scale_to_zero=True).describe()}
    assert (rows["API_PORT"].value, rows["API_PORT"].default) == ("9", "8080")
    assert rows["DATABRICKS_SCALE_TO_ZERO"].value == "true"
    assert rows["VOSK_MODEL_PATH"].value == ""
    assert all(row.description for row in rows.values())


GIVEN = {
    "SHARD_COUNT": "8",
    "SHARD_IDS": "0-2,5",
    "DATABASE_URL": "postgresql://earshot@db/earshot",
    "FLAG_TERMS_PATH": "starter",
    "EARSHOT_VAD": "no",
    "LOG_LEVEL": "debug",
    "DATABRICKS_ENDPOINT_OUTPUT_SPECS": '{"toxicity": {"score_field": "a.b", "score_type": "logit"}}',
}


@pytest.mark.parametrize("env", [{}, GIVEN])
def test_what_the_reference_shows_can_be_set(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    for name in env.keys() - {"DATABASE_URL"}:
        monkeypatch.delenv(name)
    shown = {row.name: row.value for row in settings.describe() if "*" not in row.value}
    (tmp_path / "shown.env").write_text("".join(f"{name}='{value}'\n" for name, value in shown.items()))
    assert Settings.load(tmp_path / "shown.env") == settings


def test_a_lexicon_that_comes_along_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in {
        "starter": STARTER_LEXICON,
        "sample": SAMPLE_LEXICON,
        "./starter": Path("starter"),
        "my.json": Path("my.json"),
    }.items():
        monkeypatch.setenv("FLAG_TERMS_PATH", name)
        assert Settings.load().flag_terms_path == path


def test_the_table_and_the_example_have_every_setting() -> None:
    names = [row.name for row in Settings().describe()]
    assert len(names) == len(Settings.model_fields)
    table, example = settings_table(), env_example()
    for name in names:
        assert f"| `{name}` |" in table
        assert f"\n# {name}=" in example
    assert "DATABRICKS_SERVING_ENDPOINT_NAME" in table
    assert all(line.count("|") - line.count("\\|") == 4 for line in table.splitlines())


def test_the_example_in_the_project_is_the_generated_one() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), "write it anew: python -m config.settings > .env.example"


def test_the_example_with_every_line_taken_is_valid(tmp_path: Path) -> None:
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and "=" in line.split(" ")[1] else line for line in env_example().splitlines()
    ]
    (tmp_path / "all.env").write_text("\n".join(lines))
    assert Settings.load(tmp_path / "all.env") == Settings()


def test_an_env_file_that_cannot_be_read_is_a_problem() -> None:
    Path(".env").symlink_to(".env")  # a loop: unreadable for root, too
    with pytest.raises(InvalidSettings, match="cannot be read"):
        Settings.load()


@pytest.mark.parametrize(("text", "ids"), [("0", (0,)), ("0,2", (0, 2)), (" 4 - 6, 1 ", (4, 5, 6, 1)), ("3-3", (3,)), ("all", ())])
def test_shards_are_listed_or_ranged(text: str, ids: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARD_IDS", text)
    monkeypatch.setenv("SHARD_COUNT", "8")
    monkeypatch.setenv("DATABASE_URL", "postgresql://earshot@db/earshot")
    settings = Settings.load()
    assert (settings.shard_ids, settings.shard_count) == (ids, 8)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"SHARD_IDS": "0,1"}, "SHARD_COUNT: it is not set, but SHARD_IDS is"),
        ({"SHARD_IDS": "0,4", "SHARD_COUNT": "4"}, "SHARD_IDS: there is no shard 4 of 4; they are numbered from 0 to 3"),
        ({"SHARD_IDS": "1", "SHARD_COUNT": "4"}, "DATABASE_URL: processes that share the shards share one PostgreSQL database"),
        ({"SHARD_IDS": "0,0", "SHARD_COUNT": "4"}, "SHARD_IDS: a shard stands in it twice"),
        ({"SHARD_IDS": "3-1", "SHARD_COUNT": "4"}, "SHARD_IDS: '3-1' runs backwards"),
        ({"SHARD_IDS": "0-", "SHARD_COUNT": "4"}, "SHARD_IDS: '0-' is no shard"),
        ({"SHARD_IDS": "some", "SHARD_COUNT": "4"}, "SHARD_IDS: 'some' is no shard"),
        ({"SHARD_IDS": "0-999999999999", "SHARD_COUNT": "4"}, "is beyond the 16384 shards"),
        ({"SHARD_COUNT": "0"}, "SHARD_COUNT: '0' is not a whole number from 1"),
    ],
)
def test_shards_that_cannot_be_are_told_with_what_to_do(env: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(env, monkeypatch)
    assert told in problem


def test_one_process_may_name_all_its_shards_without_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARD_IDS", "0-3")
    monkeypatch.setenv("SHARD_COUNT", "4")
    assert Settings.load().shard_ids == (0, 1, 2, 3)
