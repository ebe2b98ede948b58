# A node of a Ray cluster, head or worker: all that watching and recognising need, and Ray's own commands. Build from the
# top of the checkout:
#
#     docker build -f deploy/ray/ray.Dockerfile -t bowam-ray .
#
# About the index see deploy/worker.Dockerfile; [default] is what `ray job submit` and Kubernetes' probes talk to.
# Never built in development: see deploy/worker.Dockerfile.
FROM python:3.11-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CITATION.cff ./
COPY bowam_model bowam_model
COPY bowam_stream bowam_stream
RUN python -m venv /opt/bowam/.venv \
    && /opt/bowam/.venv/bin/pip install --no-cache-dir -c constraints.txt '.[capture,openvino,ray]' 'ray[default]'

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/bowam/.venv /opt/bowam/.venv
# /out: what the driver writes. Nothing else is written but /tmp and /dev/shm.
RUN useradd --no-create-home --uid 10001 bowam && install -d -o bowam -g bowam -m 0700 /out
ENV PATH=/opt/bowam/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 RAY_USAGE_STATS_ENABLED=0 \
    HOME=/tmp MPLCONFIGDIR=/tmp XDG_CACHE_HOME=/tmp
USER 10001:10001
WORKDIR /tmp

# The cluster says what is started: ray start, with --block, or what KubeRay writes in its place.
CMD ["ray", "start", "--head", "--block"]
