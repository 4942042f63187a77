# A thin front for CMake. `make help` lists the targets.
BUILD   ?= build
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE   ?= cmake

.PHONY: all help demo check check-slurm check-long bench parity pictures docs format install clean deps

all: ## build build/protlm
	@tools/build.sh release $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+: ## ' $(MAKEFILE_LIST) | sed 's/: ## /\t/' | expand -t 14

deps: ## install what building and testing need (Debian/Ubuntu; elsewhere says what)
	@tools/install-deps.sh

demo: ## install, build, train ESM-2 on real proteins, show the results (DATA=my.fasta for your own)
	@tools/install-deps.sh && tools/build.sh release $(BUILD) && tools/demo.sh $(BUILD)/protlm $(DATA)

check: ## install, build, run every test that needs no GPU
	@tools/check.sh

check-slurm: ## every situation of a batch job, on a real two-node Slurm on this host (at most 6 minutes)
	@tools/check_slurm.sh

check-long: ## check with sanitizers for everything, other compilers, coverage, long kill loops
	@tools/check_long.sh

bench: all ## rates of operators and whole steps on this machine
	@$(BUILD)/protlm bench gemm && $(BUILD)/protlm bench step

parity: all ## compare with PyTorch and transformers, live (installs them outside the tree)
	@tests/parity/run.sh $(BUILD)/protlm

pictures: all ## what protlm answers to five mistakes; screenshots of a report page (RUN=directory; default the demo's)
	@tools/picture_messages.sh build/protlm >build/messages.svg && mv build/messages.svg docs/pictures/messages.svg
	@tools/pictures.sh $(RUN)

docs: all ## regenerate man pages, docs/options.md and share/slurm from the program
	@tools/generate_docs.sh $(BUILD)/protlm .
	@tools/generate_slurm.sh $(BUILD)/protlm .

format: ## lay the C files out as .clang-format says
	@tools/format.sh

install: all ## install program, man pages and completions under PREFIX
	@$(CMAKE) --install $(BUILD) --prefix $(PREFIX)

clean: ## remove build folders
	rm -rf build build-*
