# `make demo` and `make test` do all their own set-up. `make help` lists the rest.

PREFIX ?= $(HOME)/.local
export PREFIX DESTDIR

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## system packages and ONNX Runtime's library
	@scripts/setup.sh

.PHONY: build
build: setup ## the programs, optimised, in target/release
	cargo build --locked --release --bins

.PHONY: demo
demo: ## index the sample library and ask it questions; leaves nothing running
	@scripts/demo.sh

.PHONY: test
test: ## everything that CI checks
	@scripts/test.sh

.PHONY: check-long
check-long: ## the tests that take long: kill -9 while indexing, soak, full-size models (installs PyTorch in target/)
	@SCENED_LONG_TESTS=1 scripts/test.sh

.PHONY: bench
bench: setup ## benchmarks
	@if [ -x scripts/bench.sh ]; then scripts/bench.sh; else echo "bench: there is no scripts/bench.sh yet" >&2; exit 1; fi

.PHONY: bench-scenes
bench-scenes: setup ## scene detection against its peers, on videos with known edits (QUICK=1: minutes; ARGS=...)
	@scripts/bench_scenes.sh $(if $(QUICK),--quick) $(ARGS)

.PHONY: bench-embed
bench-embed: setup ## embedding against ONNX Runtime driven from Python (ARGS=model folders)
	@scripts/bench_embed.sh $(ARGS)

.PHONY: bench-foreground
bench-foreground: setup ## how much a compile is slowed while scened indexes (ARGS=rounds)
	@scripts/bench_foreground.sh $(ARGS)

.PHONY: bench-clients
bench-clients: setup ## what people wait for at the terminal: answers, pictures, the finder, pages, clips (ARGS=rounds)
	@scripts/bench_clients.sh $(ARGS)

.PHONY: bench-desktop
bench-desktop: setup ## what desktops wait for: answers on the session bus, thumbnails
	@scripts/bench_desktop.sh

.PHONY: pictures
pictures: setup ## the README's pictures, from the sample library (needs Chromium)
	@scripts/pictures.sh

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all

.PHONY: lint
lint: setup ## clippy, rules of who may use whom, the map, the documents, units
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	scripts/check_dependencies.sh
	scripts/check_rooms
	scripts/check_map
	scripts/check_prose
	scripts/check_units.sh

.PHONY: install
install: build ## under PREFIX (~/.local); DESTDIR is honoured
	@scripts/install.sh

.PHONY: uninstall
uninstall: ## what `make install` put there; configuration and data stay
	@scripts/uninstall.sh

.PHONY: deb
deb: ## a Debian package, in target/debian
	@scripts/deb.sh

.PHONY: clean
clean: ## what was built (not .setup)
	cargo clean
