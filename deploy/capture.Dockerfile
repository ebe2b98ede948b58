# A capture: one camera. BOWAM_SOURCE names it. Build from the top of the checkout:
#
#     docker build -f deploy/capture.Dockerfile -t bowam-capture .
#
# About the index see worker.Dockerfile. The packages take 2.1 GB, of which 750 MB are torch, which a capture never loads:
# it is a dependency of the package, and 330 MB are MediaPipe's jaxlib.
# Never built in development: see worker.Dockerfile.
FROM python:3.11-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CITATION.cff ./
COPY bowam_model bowam_model
COPY bowam_stream bowam_stream
RUN python -m venv /opt/bowam/.venv \
    && /opt/bowam/.venv/bin/pip install --no-cache-dir -c constraints.txt '.[capture]'

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/bowam/.venv /opt/bowam/.venv
# /run/bowam: sockets that the worker on this machine shares. Nothing else is written but /tmp.
RUN useradd --no-create-home --uid 10001 bowam && install -d -o bowam -g bowam -m 0700 /run/bowam
ENV PATH=/opt/bowam/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 BOWAM_LOG_FORMAT=json BOWAM_LOG_LEVEL=info \
    HOME=/tmp MPLCONFIGDIR=/tmp XDG_CACHE_HOME=/tmp
USER 10001:10001
WORKDIR /tmp

EXPOSE 5555 9101
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9101/livez', timeout=2)"]
ENTRYPOINT ["bowam"]
CMD ["capture", "--wait", "--config", "/etc/bowam/bowam.toml"]
