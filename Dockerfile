# The server as an image.
#
#     docker build -t voiced .                    speaks on the CPU
#     docker build -t voiced:cuda --target cuda . speaks on an NVIDIA GPU (docker run --gpus all)
#     docker run -p 127.0.0.1:8080:8080 -e VOICED_API_KEYS=... voiced
#
# A container is reached from outside, so the server listens on all of its addresses (VOICED_HOST=0.0.0.0) and starts only with
# keys: set VOICED_API_KEYS (at least 16 characters each), or VOICED_ALLOW_ANONYMOUS=true where everybody who reaches the port
# may use it. WebRTC calls need UDP ports that a published port does not give: run with --network host, or name a TURN server;
# elsewhere clients fall back to the WebSocket. compose.yaml shows the settings. (DL3008: the packages are those of the release.)
FROM debian:bookworm-slim AS python
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/*

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/voiced
WORKDIR /src
COPY pyproject.toml constraints.txt ./
COPY realtime/deploy realtime/deploy

# PyTorch first: it is the largest layer and changes least
FROM build AS build-cpu
RUN sh realtime/deploy/install_torch.sh /opt/voiced/bin/python cpu -c constraints.txt
COPY . .
RUN /opt/voiced/bin/python -m pip install -c constraints.txt '.[ears]' \
 && /opt/voiced/bin/python -m pip uninstall --yes pip

FROM build AS build-cuda
RUN sh realtime/deploy/install_torch.sh /opt/voiced/bin/python cuda -c constraints.txt
COPY . .
RUN /opt/voiced/bin/python -m pip install -c constraints.txt '.[ears]' \
 && /opt/voiced/bin/python -m pip uninstall --yes pip

FROM python AS runtime
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /cache --no-create-home --shell /usr/sbin/nologin voiced \
 && install --directory --owner=voiced --group=voiced /models /uploads /cache
COPY realtime/deploy/healthy.py /opt/healthy.py
ENV VOICED_HOST=0.0.0.0 VOICED_PORT=8080 VOICED_CACHE=/cache HF_HOME=/cache/huggingface PYTHONUNBUFFERED=1
USER 10001:10001
# /models: checkpoints (VOICED_MODEL=/models/NAME); /cache: checkpoints that are fetched by their hub id
VOLUME ["/models", "/cache"]
EXPOSE 8080
# Ready to speak; until a checkpoint is fetched and loaded it may take minutes
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 CMD ["/opt/voiced/bin/python", "/opt/healthy.py"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/voiced/bin/voiced"]
CMD ["serve"]

FROM runtime AS cuda
# the driver is the host's: the NVIDIA Container Toolkit brings it in
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility VOICED_DEVICE=cuda
COPY --from=build-cuda /opt/voiced /opt/voiced

FROM runtime AS cpu
COPY --from=build-cpu /opt/voiced /opt/voiced
