# The first target is what `make` alone does.
.PHONY: help run test race bench fuzz lint vulnerabilities sbom man generate verify

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## run the host: http://127.0.0.1:3000, nothing to configure
	go run ./cmd/host

test: ## run the tests against real Postgres
	go test ./...

race: ## run the tests under the race detector
	go test -race ./...

bench: ## run the benchmarks; compare ratios within one run, never two runs
	go run ./internal/bench
	go test -run '^$$' -bench . -benchmem ./...

FUZZTIME ?= 30s
fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# go run keeps the program in Go's build cache: it is compiled once.
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
lint: ## gofmt, go vet, staticcheck, gosec, import rules and more: .golangci.yaml
	go run $(GOLANGCI_LINT) run --allow-parallel-runners ./...

GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
vulnerabilities: ## known vulnerabilities of what is linked; VULNDB=URL for another database
	go run $(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) $(VULNFLAGS) ./...

CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
SBOM = sbom.json
sbom: ## what the host is made of, as CycloneDX: sbom.json
	go run $(CYCLONEDX) app -json -licenses -std -main cmd/host -output $(SBOM) .

MANDIR = man
man: ## the man pages of all commands, in man/
	mkdir -p $(MANDIR) && go run ./cmd/host man $(MANDIR)

generate: ## regenerate what is generated, and tidy the module
	go generate ./...
	go mod tidy

verify: lint race ## what CI checks of the code, and that the other systems compile
	GOOS=darwin go build ./...
	GOOS=windows go build ./...
	go mod verify
