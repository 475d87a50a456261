# Everything a person or CI does here. `make` alone lists it.

DEFAULT_STACK := braintrust-review-assigner
STACK ?= $(DEFAULT_STACK)
ARCH ?= arm64
FUNCTION := ReviewAssignerFunction
ARGS ?=

PY := .venv/bin/python
TOOLS := .venv-tools/bin
# Two processes a core, as many tests wait for something; `make test WORKERS=0` runs in one process, for a debugger.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
export SAM_CLI_TELEMETRY := 0
# What a shell says about other Pythons is not about those of this repository.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONWARNINGS
# A letter that the terminal cannot show is no reason to end.
export PYTHONIOENCODING ?= :backslashreplace

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Try it here

# Columns that there are to write in: those of the terminal, else a hundred.
ROOM = $(or $(COLUMNS),$(shell stty size 2>/dev/null | awk '$$2 >= 40 {print $$2}'),100)
.PHONY: help run local
help: ## list these targets
	@awk -v most=$(ROOM) -v stack='$(STACK)' -f scripts/help.awk $(MAKEFILE_LIST)

run: .venv/.stamp ## watch some hours of work against a Braintrust and an AWS on this machine; with your own key: a dry run
	$(PY) -m local.demo $(ARGS)

local: .venv/.stamp ## keep both local servers up, for the function with events of your own, here or in a container (env.json)
	$(PY) -m local.serve $(ARGS)

##@ Change it

.PHONY: test lint types template advisories format docs lock hooks bench soak figures clean
test: .venv/.stamp .venv/bin/aws-lambda-rie ## every test; some of them: make test ARGS="tests/template -k alarms"
	$(PY) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: types template ## style, types, and the template: syntax, rules and security
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: .venv/.stamp
	$(PY) -m mypy

template: .venv/.stamp .venv-tools/.stamp .venv-checkov/.stamp
	.venv/bin/cfn-lint template.yaml
	$(TOOLS)/sam validate --lint --region us-east-1
	$(TOOLS)/python -m tests.template.through_sam
	.venv-checkov/bin/checkov --file template.yaml --framework cloudformation --quiet --compact --skip-download

advisories: .venv-tools/.stamp ## known vulnerabilities in what runs in Lambda; AUDIT_STRICT=1 fails if they cannot be looked up
	$(TOOLS)/python scripts/advisories.py requirements.txt

format: .venv/.stamp ## put the code into shape
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: .venv/.stamp ## write the tables in docs/ anew, from the settings and the template
	$(PY) scripts/documents.py

# The versions that are locked stay unless `make lock ARGS=--upgrade`. No address of a package index is written down.
COMPILE = $(TOOLS)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links $(ARGS)
lock: .venv-tools/.stamp ## bring the lock files in line with the *.in files; ARGS=--upgrade takes newer versions
	$(COMPILE) --python-version 3.13 --python-platform aarch64-manylinux2014 requirements.in -o requirements.txt
	$(COMPILE) --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	$(COMPILE) --universal --python-version 3.11 requirements-tools.in -o requirements-tools.txt
	$(COMPILE) --universal --python-version 3.11 requirements-checkov.in -o requirements-checkov.txt

hooks: .venv/.stamp .venv-tools/.stamp ## run the quick checks before every commit
	$(TOOLS)/pre-commit install

bench: .venv/.stamp ## time it beside the published script
	$(PY) -m benchmarks $(ARGS)

soak: .venv/.stamp ## thousands of random fault scenarios: make soak SCENARIOS=5000
	$(PY) -m tests.soak --scenarios $(or $(SCENARIOS),2000) $(ARGS)

figures: .venv/.stamp ## count the code: sizes, complexity, imports; beside a revision: make figures ARGS="--rev HEAD~10"
	$(PY) scripts/code_figures.py $(ARGS)

explore: .venv/.stamp ## every order in which the requests of a few runs can happen, and each rule broken: make explore ARGS=undo
	$(PY) -m tests.explore $(ARGS)

clean: ## remove what was built and installed here; what a trial assigned stays on record
	rm -rf .aws-sam .venv .venv-tools .venv-checkov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@if [ -d .local/audit-trial ]; then find .local -mindepth 1 -maxdepth 1 ! -name audit-trial -exec rm -rf {} +; \
	    echo 'kept: .local/audit-trial; what a trial assigned cannot be taken back without it (rm -r .local removes it)'; \
	    else rm -rf .local; fi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Deploy and operate it

.PHONY: build deploy answers outputs status logs stack-is-there invoke dry-run undo take-back digest report reviewers names queues
build: .venv-tools/.stamp ## make the artifact in .aws-sam/build; ARCH=x86_64 for `sam local` on such a machine
	$(TOOLS)/sam build --parameter-overrides Architecture=$(ARCH)

# What a stack is deployed with is in ops/stacks/<stack>.yaml, and nowhere else. SAM's own settings are in samconfig.toml; a
# stack whose answers an earlier version kept there has a section of its own (a "config environment").
ENVIRONMENT = $(or $(if $(filter-out $(DEFAULT_STACK),$(STACK)),$(shell \
    awk '{sub(/\r$$/, "")} $$1 == "[$(STACK).deploy.parameters]" {print "$(STACK)"; exit}' samconfig.toml)),default)

# One region for every target: the terminal's, as for the AWS CLI (AWS_REGION goes first; the SDK alone does not know it),
# else the one that the stack was deployed to, else the profile's.
REGION = $(or $(AWS_REGION),$(AWS_DEFAULT_REGION),$(shell \
    awk '/^region:/ {gsub(/["\047\r]/, "", $$2); print $$2; exit}' ops/stacks/$(STACK).yaml 2>/dev/null),$(shell \
    awk '{sub(/\r$$/, "")} /^ *\[/ {here = $$1 ~ /^\[$(ENVIRONMENT)\.(deploy|global)\.parameters\]$$/} \
    here && /^ *region *=/ {gsub(/.*= *"|".*/, ""); print; exit}' samconfig.toml))
IN_REGION = $(if $(REGION),AWS_REGION=$(REGION) AWS_DEFAULT_REGION=$(REGION) )

# Without a terminal, as in CI, nobody is asked.
UNATTENDED = $(or $(filter-out 0 false,$(CI)),$(shell [ -t 0 ] || echo yes))
FOR_SAM = .aws-sam/answers.yaml
deploy: answers build ## create or update the stack; asks for what it needs to know the first time; nothing in CI (CI=true)
	$(TOOLS)/sam deploy --config-env $(ENVIRONMENT) --stack-name $(STACK) $(if $(REGION),--region $(REGION)) \
	    --parameter-overrides file://$(FOR_SAM) \
	    $(if $(UNATTENDED),--no-confirm-changeset --no-fail-on-empty-changeset) $(ARGS)

answers: .venv/.stamp
	@$(IN_REGION)$(PY) -m ops.settle $(STACK) --for-sam $(FOR_SAM)$(if $(UNATTENDED), --unattended)

outputs: .venv/.stamp ## what a stack is made of: its function, its audit bucket and so on, one a line
	$(IN_REGION)$(PY) -m ops.stack outputs $(STACK)

status: .venv/.stamp ## the last runs of a stack, from its audit; of another audit: make status ARGS=.local/audit
	$(IN_REGION)$(PY) -m ops.status --stack $(STACK) $(ARGS)

# First of all, whether there is such a stack: the SAM CLI does not say so, and is long to install.
stack-is-there: .venv/.stamp
	@$(IN_REGION)$(PY) -m ops.stack outputs --quiet $(STACK)

logs: stack-is-there .venv-tools/.stamp ## follow the log
	$(TOOLS)/sam logs --config-env $(ENVIRONMENT) --stack-name $(STACK) $(if $(REGION),--region $(REGION)) \
	    --name $(FUNCTION) --tail $(ARGS)

invoke: .venv/.stamp ## one run now; other settings for it: make invoke EVENT=events/overrides.json
	$(IN_REGION)$(PY) -m ops.stack invoke $(STACK) "$(or $(EVENT),events/empty.json)"

dry-run: .venv/.stamp ## what a run would do now, without writing to Braintrust; of one queue: make dry-run QUEUE=de
	@$(IN_REGION)$(PY) -m ops.dry_run $(STACK) $(if $(QUEUE),--queue "$(QUEUE)")

queues: .venv/.stamp ## check a file with queues before it is stored, with BRAINTRUST_API_KEY also its projects, filters and people: make queues FILE=queues.json
	@$(IN_REGION)$(PY) -m ops.check_queues $(STACK) "$(or $(FILE),queues.json)"

reviewers: .venv/.stamp ## the stored list of reviewers; check another one, try it, and store it: make reviewers FILE=reviewers.txt
	@$(IN_REGION)$(PY) -m ops.reviewers $(STACK) $(if $(FILE),"$(FILE)") $(ARGS)

names: .venv/.stamp ## names in place of ids in all of this, fetched with a key of your own in BRAINTRUST_API_KEY
	@$(PY) -m ops.names --stack $(STACK) $(ARGS)

undo: .venv/.stamp ## take back what one run assigned: make undo RUN_ID=... (DRY_RUN=true only says what it would do; so does anything but false)
	$(IN_REGION)$(PY) -m ops.stack undo $(STACK) $(RUN_ID) $(if $(filter-out false,$(DRY_RUN)),--dry-run)

# DAYS is a setting of the function, too: only what stands on make's own command line is meant.
take-back: .venv/.stamp ## take open rows back, for others to get: make take-back REVIEWER=bo@example.com, DAYS=3, or both (DRY_RUN as for undo)
	$(IN_REGION)$(PY) -m ops.stack take-back $(STACK) $(if $(REVIEWER),--reviewer "$(REVIEWER)") \
	    $(if $(and $(DAYS),$(filter command,$(firstword $(origin DAYS)))),--days "$(DAYS)") $(if $(filter-out false,$(DRY_RUN)),--dry-run)

digest: .venv/.stamp ## tell the team now who has how many open rows; DRY_RUN=true prints it, with the names that your BRAINTRUST_API_KEY may see
	$(IN_REGION)$(PY) -m ops.tell $(STACK) $(if $(filter-out false,$(DRY_RUN)),--dry-run)

report: .venv/.stamp ## one HTML page from a stack's audit, or another: make report ARGS="s3://bucket/audit/ -o report.html"
	$(IN_REGION)$(PY) -m ops.report --stack $(STACK) $(ARGS)

# ---------------------------------------------------------------------------------------------------------------------

# `sam build` calls this one (Metadata.BuildMethod: makefile). What it packs, and why, is in the script.
.PHONY: build-$(FUNCTION)
build-$(FUNCTION):
	sh scripts/build_artifact.sh "$(ARTIFACTS_DIR)"

# The environments follow their lock files. Three, because the tools pin conflicting libraries. One whose Python is gone,
# such as after an upgrade of the system's, is made anew.
.venv/bin/python .venv-tools/bin/python .venv-checkov/bin/python:

.venv/.stamp: .venv/bin/python requirements-dev.txt scripts/make_venv.sh
	@sh scripts/make_venv.sh .venv requirements-dev.txt
	@touch $@

.venv-tools/.stamp: .venv-tools/bin/python requirements-tools.txt scripts/make_venv.sh
	@sh scripts/make_venv.sh .venv-tools requirements-tools.txt
	@touch $@

.venv-checkov/.stamp: .venv-checkov/bin/python requirements-checkov.txt scripts/make_venv.sh
	@sh scripts/make_venv.sh .venv-checkov requirements-checkov.txt
	@touch $@

# Lambda's own emulator, for the tests of the artifact. It comes in the wheel of the SAM CLI; all of the SAM CLI's
# dependencies are not needed for it.
.venv/bin/aws-lambda-rie: .venv/bin/python requirements-tools.txt scripts/get_emulator.sh | .venv/.stamp
	@sh scripts/get_emulator.sh $@
