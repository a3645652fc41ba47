# syntax=docker/dockerfile:1
# Two stages: wheels are installed in the first, the second holds nothing that builds.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/earshot
ENV PATH=/opt/earshot/bin:$PATH
COPY requirements.lock pyproject.toml README.md LICENSE ./
# The lock pins versions; pyproject.toml names what the bot needs of them (no test or bench tools).
RUN pip install --no-cache-dir --constraint requirements.lock "setuptools>=77"
COPY config config
COPY moderation moderation
COPY cogs cogs
COPY bot bot
RUN pip install --no-cache-dir --constraint requirements.lock ".[postgres]"

FROM python:3.12-slim
# libatomic1: libvosk on arm64. libopus: the one in PyAV's wheel serves, so nothing else is needed.
RUN apt-get update && apt-get install --yes --no-install-recommends libatomic1 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/earshot earshot \
    && install --directory --owner=earshot --mode=700 /var/lib/earshot/data
COPY --from=build /opt/earshot /opt/earshot
ENV PATH=/opt/earshot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EARSHOT_DATA_DIR=/var/lib/earshot/data \
    VOSK_MODEL_PATH=/models/vosk \
    API_HOST=127.0.0.1 \
    API_PORT=8080 \
    LOG_FORMAT=json
USER earshot
WORKDIR /var/lib/earshot
# Mount a model: docker run -v /path/to/vosk-model-en-us-0.22:/models/vosk:ro …
VOLUME ["/models", "/var/lib/earshot/data"]
# The HTTP side is for loopback until it has a token: -e API_HOST=0.0.0.0 -e API_TOKEN=… -p 8080:8080
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, sys, urllib.request as u; sys.exit(u.urlopen(f'http://127.0.0.1:{os.environ[\"API_PORT\"]}/health', timeout=4).status != 200)"]
ENTRYPOINT ["python", "-m", "bot"]
CMD ["run"]
