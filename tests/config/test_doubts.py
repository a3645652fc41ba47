"""What is likely not meant: misspelt names in the environment, without suspecting other programs' names, and tokens to guess."""

import pytest
from pydantic import SecretStr

from config import reference
from config.doubts import doubts, near_misses
from config.settings import Settings

pytestmark = pytest.mark.unit

KNOWN = reference.known(Settings)
MISSPELT = {
    "API_TOKE": "API_TOKEN",
    "API_PROT": "API_PORT",
    "DATABASE_URI": "DATABASE_URL",
    "DISCORD_TOKN": "DISCORD_TOKEN",
    "FLAG_TERM_PATH": "FLAG_TERMS_PATH",
    "LOG_LEVL": "LOG_LEVEL",
    "SHARD_COUNTT": "SHARD_COUNT",
    "SHARDS_IDS": "SHARD_IDS",
    "TOXICITY_TRESHOLD": "TOXICITY_THRESHOLD",
}
OTHERS = """
PATH HOME USER LOGNAME SHELL PWD OLDPWD TERM LANG LC_ALL LC_CTYPE TZ EDITOR VISUAL PAGER DISPLAY HOSTNAME HOSTTYPE OSTYPE SHLVL
MAIL TMPDIR XDG_RUNTIME_DIR XDG_DATA_DIRS XDG_SESSION_ID DBUS_SESSION_BUS_ADDRESS SSH_CLIENT SSH_CONNECTION SSH_AUTH_SOCK
COLORTERM LS_COLORS NO_COLOR PYTHONPATH PYTHONUNBUFFERED PYTHONHASHSEED VIRTUAL_ENV PIP_NO_CACHE_DIR UV_CACHE_DIR CONDA_PREFIX
GIT_EDITOR GIT_AUTHOR_NAME NODE_ENV NVM_DIR HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE CI DEBUG ENV ENVIRONMENT PORT
HOST ADDRESS BIND SECRET SECRET_KEY TOKEN PASSWORD API_KEY API_URL API_BASE API_BASE_URL API_SECRET API_VERSION API_ROOT
API_TIMEOUT API_USER API_PASSWORD API_ENDPOINT API_PREFIX API_KEYS APP_HOST APP_PORT APP_TOKEN APP_NAME APP_ENV APP_KEY APP_URL
APM_HOST APM_PORT AMP_TOKEN LOGLEVEL LOG_FILE LOG_DIR LOG_PATH LOG_NAME LOGFORMAT LOG_LEVEL_SQL RUST_LOG RUST_LOG_LEVEL
UVICORN_LOG_LEVEL DATABASE_NAME DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_PASSWORD DATABASE_DSN DB_URL DB_HOST DB_NAME
TEST_DATABASE_URL PG_DATABASE_URL DATABASE_URL_REPLICA SQLALCHEMY_DATABASE_URI PGHOST PGPORT PGDATABASE POSTGRES_USER POSTGRES_DB
REDIS_URL MONGO_URL RABBITMQ_URL DISCORD_WEBHOOK DISCORD_WEBHOOK_URL DISCORD_CLIENT_ID DISCORD_GUILD_ID DISCORD_PUBLIC_KEY
DISCORD_APP_ID X_API_TOKEN CF_API_TOKEN MY_API_TOKEN GITHUB_TOKEN GH_TOKEN GITLAB_TOKEN NPM_TOKEN SLACK_TOKEN TELEGRAM_TOKEN
BOT_TOKEN HF_TOKEN AWS_REGION AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_ID
KUBERNETES_SERVICE_HOST KUBERNETES_PORT API_SERVICE_HOST API_SERVICE_PORT API_PORT_8080_TCP API_PORT_8080_TCP_ADDR DOCKER_HOST
COMPOSE_PROJECT_NAME FLAGS FLAG FLAG_PATH FLAG_FILE SHARD SHARDS SHARD_ID NUM_SHARDS SCORE SCORE_THRESHOLD THRESHOLD SENTRY_DSN
OTEL_SERVICE_NAME WEBHOOK_URL WEBHOOK_SECRET
""".split()  # noqa: SIM905 - a list of them would be a page


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_name_in_the_environment_is_doubted(name: str, meant: str) -> None:
    (doubt,) = doubts(Settings(), {name: "x"})
    assert doubt.startswith(f"{name}: there is no such setting; did you mean {meant}?")


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_where_the_setting_is_given_the_other_name_is_somebody_elses(name: str, meant: str) -> None:
    assert list(near_misses([name, meant], KNOWN)) == []


def test_usual_names_of_others_are_not_doubted() -> None:
    assert len(OTHERS) > 150
    assert list(near_misses(OTHERS, KNOWN)) == []


def test_empty_ones_and_settings_themselves_are_not_doubted() -> None:
    assert doubts(Settings(), {"API_TOKE": " ", **dict.fromkeys(KNOWN, "x")}) == []


@pytest.mark.parametrize(("size", "doubted"), [(1, True), (15, True), (16, False)])
def test_a_token_that_can_be_guessed_is_doubted_on_loopback(size: int, doubted: bool) -> None:
    found = doubts(Settings(api_token=SecretStr("a" * size)), {})
    assert [d.split(":")[0] for d in found] == (["API_TOKEN"] if doubted else [])
