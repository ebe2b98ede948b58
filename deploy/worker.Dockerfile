# A worker on a processor. Build from the top of the checkout:
#
#     docker build -f deploy/worker.Dockerfile -t bowam-worker .
#
# PyPI's torch for x86-64 brings gigabytes of CUDA. Who knows an index with a build for processors names it:
# --build-arg PIP_EXTRA_INDEX_URL=... (what is written there stays in the first stage). Then the packages take 1.5 GB.
# Never built in development, where there is no Docker: its steps were run by hand, and tests/system/test_sandbox.py runs
# the processes as this user on read-only file systems.
FROM python:3.11-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CITATION.cff ./
COPY bowam_model bowam_model
COPY bowam_stream bowam_stream
RUN python -m venv /opt/bowam/.venv \
    && /opt/bowam/.venv/bin/pip install --no-cache-dir -c constraints.txt '.[openvino]'

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/bowam/.venv /opt/bowam/.venv
# /data: journal. /run/bowam: sockets that captures on this machine share. Nothing else is written but /tmp.
RUN useradd --no-create-home --uid 10001 bowam && install -d -o bowam -g bowam -m 0700 /data /run/bowam
ENV PATH=/opt/bowam/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 BOWAM_LOG_FORMAT=json BOWAM_LOG_LEVEL=info \
    HOME=/tmp MPLCONFIGDIR=/tmp XDG_CACHE_HOME=/tmp
USER 10001:10001
WORKDIR /data
VOLUME /data

EXPOSE 5556 5557 9102
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9102/livez', timeout=2)"]
ENTRYPOINT ["bowam"]
CMD ["worker", "--config", "/etc/bowam/bowam.toml", "--journal", "/data/journal.sqlite"]
