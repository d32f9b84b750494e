STACK ?= local
export STACK

LINT = lint lint-python lint-python-format lint-shell lint-dockerfiles

.PHONY: help up preview refresh drift deploy undeploy unlock outputs down destroy test test-unit test-engine test-long lint doctor
.PHONY: update-checksums update-bases update-tools check-upstream image-report packages constraints
.PHONY: sbom diff verify reproduce bench share clean

help: ## Lists the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

up: ## Builds, proves and publishes the image of a stack (STACK=local; YES=1 asks nothing, REFRESH=1 refreshes in any case)
	@local/run up

preview: ## Shows what up would do and writes a report; pushes nothing, needs no account
	@local/run preview

refresh: ## Writes into the state what is not as it was: models that upstream replaced, images that are gone, tags that were moved
	@local/run refresh

drift: ## Says what is as the last update left it, what is not, and what is not known; changes nothing
	@local/run drift

deploy: ## Runs the stack's image with Docker Compose, through the deploy stack of the same name
	@local/run deploy

undeploy: ## Stops what deploy started
	@local/run undeploy

unlock: ## Takes off the lock that a killed update left on the stack; says who held it (PROJECT=deploy for the deploy stack)
	@local/run unlock

outputs: ## Prints the stack's outputs as JSON
	@local/run outputs

down: ## Stops the local services
	@local/run down

destroy: ## Removes the stack and stops the local services; published images stay
	@local/run destroy

clean: ## Removes all that this project has brought to this machine: tools, services and their data, packages (ALL=1: the cache that clones share, too)
	@local/run clean

test: ## Passes every check: lint, types, unit tests, and the tests with the real engine and builder
	@local/run test

test-unit: ## Lint, types and the tests that need no service
	@local/run test $(LINT) types unit

test-engine: ## The tests with the real engine only
	@local/run test engine

test-long: ## What takes a quarter of an hour: the real Facecraft, and an image that is built again in an empty cache
	@local/run test long

lint: ## Checks style
	@local/run test $(LINT)

update-checksums: ## Downloads the models and patches their pins in both Dockerfiles (MODEL=codeformer for one, CHECK=1 to change nothing, FORCE=1 to believe what looks like no model)
	@local/run update-checksums

update-bases: ## Pins the base images to what their tags name now (CHECK=1 to change nothing)
	@local/run update-bases

update-tools: ## Fills local/tools/lock.json: the sha256 of all that the set-up downloads (CHECK=1 to change nothing)
	@local/run update-tools

check-upstream: ## Asks for every outside thing that this repository names, and fails when one is gone (FULL=1 hashes the models)
	@local/run check-upstream

image-report: ## Layers, packages, models, proof and labels of the stack's image (IMAGE=... for another)
	@local/run image-report

packages: ## Prints the Python packages of the stack's image, with their versions, and what its proof found (IMAGE=... for another)
	@local/run packages

constraints: ## Writes constraints.txt: the Python packages of the stack's image, to build with them again
	@local/run constraints > constraints.txt.new && mv constraints.txt.new constraints.txt

sbom: ## Writes the bill of materials of the stack's image, models included, as CycloneDX (IMAGE=... for another, OUT=... for the file)
	@local/run sbom

diff: ## Says what changed between two images: FROM=... TO=... (TO is the stack's image unless given; JSON=1 as data)
	@local/run diff

verify: ## Says what is known of the stack's image (IMAGE=... for another), and whether signature, provenance and SBOM hold (KEY=cosign.pub, or IDENTITY=... ISSUER=...; JSON=1 for data)
	@local/run verify

reproduce: ## Builds an image again (IMAGE=..., by default the stack's), in an empty cache, and says which layers are the same and why others are not
	@local/run reproduce

bench: ## Speed, memory and sizes against named rivals (BENCH=program, models, first-release, images or, a quarter of an hour, setup for one part)
	@local/run bench

share: ## Lets every user of this machine take what was made here, from /var/cache/facecraft; for an administrator
	@local/run share

doctor: ## Says what is installed, what stands in for what, and what to do about what is missing
	@local/run doctor
