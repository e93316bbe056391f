# One plugin as the smallest image that Istio's agent and Envoy Gateway load, for those who build in containers:
#   docker build --build-arg PLUGIN=health -t registry.example.org/launchgate/plugins/health:0.1.0 .
# `make image` needs no container engine and adds schema, README and bill of materials.
FROM rust:1.95.0-bookworm AS build
# Debian keeps one version of a package: a pinned one would be gone with the next.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG PLUGIN
RUN test -f "plugins/$PLUGIN/Cargo.toml" && make build FOLDERS="plugins/$PLUGIN" && cp "dist/$PLUGIN.wasm" /plugin.wasm

FROM scratch
COPY --from=build /plugin.wasm /plugin.wasm
