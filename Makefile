# make demo   shows the gateway at work        make test   the tests that this machine can run
# make lint   ruff and mypy --strict           make peers  real servers and clients in network namespaces (root)
# make bench  ratios against HAProxy, kernel NAT, ftp-proxy, mod_proxy, nginx, mitmproxy (root)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

PEERS := peers-ftp peers-tls peers-mitm peers-http peers-ws peers-ways peers-tftp peers-transparent

.PHONY: demo test lint peers peers-install peers-short $(PEERS) mutants bench clean

# uv where it is there (seconds), else venv and pip (a minute).
$(READY): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[test,lint,speed,tls,mitmproxy]' hatchling; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint,speed,tls,mitmproxy]' hatchling; \
	fi
	@touch $@

demo: $(READY)
	@$(BIN)/python -m tests.demo

test: $(READY)
	$(BIN)/python -m pytest
	@$(BIN)/python -m tests.left_out

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

mutants: $(READY)
	$(BIN)/python -m tests.mutants

# Installed one after the other, run two at a time: they wait more than they work, and each has namespaces of its own.
peers: peers-install
	@$(MAKE) --no-print-directory -j 2 --output-sync=target $(PEERS)

# Something of each lab: what fits into half an hour with everything else.
peers-short: peers-install
	$(BIN)/python -m tests.peers --only vsftpd/curl
	$(BIN)/python -m tests.peers.tls --only 'vsftpd /curl/'
	$(BIN)/python -m tests.peers.mitm --only 'reverse/vsftpd/curl'
	$(BIN)/python -m tests.peers.http --only 'cdp tls/playwright'
	$(BIN)/python -m tests.peers.ws --only 'chromium'
	$(BIN)/python -m tests.peers.ways --gateway alg
	$(BIN)/python -m tests.peers.tftp --only curl
	$(BIN)/python -m tests.peers.tftp --gateway tproxy --only tftpd-hpa/curl
	$(BIN)/python -m tests.peers.tftp.flood
	$(BIN)/python -m tests.peers.transparent --gateway tproxy --only vsftpd/curl
	$(BIN)/python -m tests.peers.transparent --gateway tproxy --only 'name server'

peers-install: $(READY)
	$(BIN)/python -m tests.peers --install
	$(BIN)/python -m tests.peers.extras --install
	$(BIN)/python -m tests.peers.mitm --install
	$(BIN)/python -m tests.peers.http --install
	$(BIN)/python -m tests.peers.ws --install
	$(BIN)/python -m tests.peers.ways --install
	$(BIN)/python -m tests.peers.tftp --install
	$(BIN)/python -m tests.peers.transparent --install

peers-ftp:
	$(BIN)/python -m tests.peers
	$(BIN)/python -m tests.peers.odd
	$(BIN)/python -m tests.peers.big
	$(BIN)/python -m tests.peers.mitm_big
	$(BIN)/python -m tests.peers.extras

peers-tls:
	$(BIN)/python -m tests.peers.tls
	$(BIN)/python -m tests.peers.tls --table cells

peers-mitm:
	$(BIN)/python -m tests.peers.mitm

peers-http:
	$(BIN)/python -m tests.peers.http
	$(BIN)/python -m tests.peers.http --gateway mitm --only cdp

peers-ws:
	$(BIN)/python -m tests.peers.ws
	$(BIN)/python -m tests.peers.ws --gateway mitm --only chromium
	$(BIN)/python -m tests.peers.ws.rfc6455
	$(BIN)/python -m tests.peers.ws.rfc6455 --gateway frames

peers-ways:
	$(BIN)/python -m tests.peers.ways --gateway all

peers-tftp:
	$(BIN)/python -m tests.peers.tftp
	$(BIN)/python -m tests.peers.tftp --gateway tproxy
	$(BIN)/python -m tests.peers.tftp.faults
	$(BIN)/python -m tests.peers.tftp.flood

peers-transparent:
	$(BIN)/python -m tests.peers.transparent --gateway all

bench: $(READY)
	$(BIN)/python -m tests.bench --install
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
