# Two commands do everything: make demo, make test. A new machine needs Go, git and make; with a C compiler the tests run under the race detector.
# The gate also runs make clients, which builds the real oc and kubectl: some minutes the first time.

MODULES := $(sort $(dir $(shell git ls-files --cached --others --exclude-standard '*go.mod')))
CLIENTS := internal/clients
CLUSTER := internal/cluster
TESTED  := $(filter-out $(CLIENTS)/% $(CLUSTER)/%,$(MODULES))
BIN     := $(CURDIR)/.bin
RACE    := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v "$$(go env CC)" >/dev/null && echo -race)
SEED    ?= 1
# The oldest Go that the root module allows; it comes through the module proxy.
OLDEST  ?= go1.25.14
export GOWORK = off

.PHONY: demo test clients cluster examples-apiserver check lint versions stranger torture vectors bench

# demo runs the main job: a registry, an image stream imported from it, a workload resolved, a tag moved, rolled back.
demo:
	@cd examples && go run ./quickstart

# test is everything that must hold before a change lands.
test: lint check stranger

# clients runs the real oc and kubectl against the server of adapters/apiserver.
clients: $(BIN)/oc $(BIN)/kubectl examples-apiserver
	@cd $(CLIENTS) && go test $(RACE) ./...

# cluster runs adapters/apiserver and adapters/kube in a cluster of the real kube-apiserver. Not in the gate: kube-apiserver
# alone is ten minutes to build.
cluster: $(BIN)/oc $(BIN)/kubectl $(BIN)/kube-apiserver examples-apiserver
	@cd $(CLUSTER) && go test -count 1 ./...

examples-apiserver:
	@cd examples && go build -ldflags '-s -w' -o $(BIN)/apiserver ./apiserver

check:
	@set -e; for m in $(TESTED); do echo "== go test $$m"; (cd $$m && go test $(RACE) ./...); done
	@echo "== go test internal/peers without the race detector, under which pools drop what is put into them"; cd internal/peers && go test -run Cost .
	@echo "== go test ./ with $(OLDEST)"; GOTOOLCHAIN=$(OLDEST) go test ./...
	@echo "== go test ./ with encoding/json v2"; GOEXPERIMENT=jsonv2 go test ./imagestream/... ./tagevent ./internal/vectors/...

# versions brings the modules that stand on k8s.io to the same dependencies, so that these are compiled once.
versions:
	@cd internal/tools && go run ./versions $(CURDIR)

lint: $(BIN)/staticcheck
	@cd internal/tools && go run ./versions -check $(CURDIR)
	@set -e; unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	@set -e; for m in $(MODULES); do echo "== lint $$m"; \
	  (cd $$m && go mod tidy -diff && go vet ./... && $(BIN)/staticcheck ./...); done
	@set -e; dead=$$($(BIN)/deadcode -test ./...); if [ -n "$$dead" ]; then echo "nothing reaches:"; echo "$$dead"; exit 1; fi

# stranger builds a program on the modules as somebody else would get them.
stranger:
	@cd internal/tools && go run ./stranger $(CURDIR)

# torture runs what is too long for test: every fuzz target for 10 minutes, the rapid tests with three seeds from SEED on, a hundred faults of an etcd cluster.
torture:
	@SEED=$(SEED) bash internal/tools/torture.sh

vectors:
	@go run ./internal/vectors/check internal/vectors/check/testdata

bench:
	@go test -run '^$$' -bench . ./...

$(BIN)/staticcheck: internal/tools/go.mod internal/tools/go.sum
	@mkdir -p $(BIN) && cd internal/tools && GOBIN=$(BIN) go install tool && touch $@

$(BIN)/oc: $(CLIENTS)/oc/go.mod $(CLIENTS)/oc/go.sum
	@mkdir -p $(BIN) && cd $(CLIENTS)/oc && \
	  CGO_ENABLED=0 GOBIN=$(BIN) go install -ldflags '-s -w' -tags 'include_gcs include_oss containers_image_openpgp' tool && touch $@

# With the settings of the tests, so that it shares what is compiled for them.
$(BIN)/kubectl: $(CLIENTS)/kubectl/go.mod $(CLIENTS)/kubectl/go.sum $(CLIENTS)/kubectl/main.go
	@mkdir -p $(BIN) && cd $(CLIENTS)/kubectl && go build -ldflags '-s -w' -o $@ .

$(BIN)/kube-apiserver: $(CLUSTER)/kubeapiserver/go.mod $(CLUSTER)/kubeapiserver/go.sum
	@mkdir -p $(BIN) && cd $(CLUSTER)/kubeapiserver && CGO_ENABLED=0 GOBIN=$(BIN) go install -ldflags '-s -w' tool && touch $@
