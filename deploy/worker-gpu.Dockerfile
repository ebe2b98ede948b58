# A worker on an NVIDIA GPU. The vendor's image brings PyTorch, TensorRT and torch-tensorrt, which fit each other: pip
# leaves them alone. Build from the top of the checkout:
#
#     docker build -f deploy/worker-gpu.Dockerfile -t bowam-worker-gpu .
#     docker run --rm --gpus all --entrypoint bowam bowam-worker-gpu doctor
#
# Never built in development, where there was neither the image nor a GPU.
ARG BASE=nvcr.io/nvidia/pytorch:26.06-py3
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/bowam
COPY pyproject.toml README.md LICENSE CITATION.cff ./
COPY bowam_model bowam_model
COPY bowam_stream bowam_stream
RUN python -c "import torch; print('torch==' + torch.__version__)" > /tmp/kept.txt \
    && pip install --no-cache-dir --constraint /tmp/kept.txt '.[synth]'

# /data: journal, and engines that were made for this GPU. /run/bowam: sockets that captures on this machine share.
RUN useradd --no-create-home --uid 10001 bowam && install -d -o bowam -g bowam -m 0700 /data /run/bowam
ENV PYTHONDONTWRITEBYTECODE=1 BOWAM_LOG_FORMAT=json BOWAM_LOG_LEVEL=info HOME=/tmp MPLCONFIGDIR=/tmp XDG_CACHE_HOME=/data/cache
USER 10001:10001
WORKDIR /data
VOLUME /data

EXPOSE 5556 5557 9102
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9102/livez', timeout=2)"]
ENTRYPOINT ["bowam"]
CMD ["worker", "--config", "/etc/bowam/bowam.toml", "--journal", "/data/journal.sqlite"]
