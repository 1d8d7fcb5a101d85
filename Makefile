# What a developer and CI run. .ci/run calls the same targets, so what passes here passes there.
#
#   make check     before a commit: gofmt, go vet, staticcheck, all tests
#   make race race-command   all tests under the race detector, those of the command apart (needs a C compiler)
#   make bench     the benchmarks; PKG=./client BENCH=Get picks some
#   make bench-client  docent's client beside go-zookeeper/zk, with the same server
#   make soak      a million cycles of watch and close, and of lock and give up; 20,000 random walks of the client
#   make bench-locks   docent's lock beside Curator's and go-zookeeper's, on the same server (needs Java)
#   make figures   docent beside Apache ZooKeeper: table, figures and docs/performance.md; resumable, over an hour (needs Java)
#   make bench-table  the table alone; ROWS=writes,reads picks rows (ROWS=list), make figures-try tries all for a moment
#   make schedules the CI's share of the random schedules of locks and elections, on virtual time: minutes
#   make sim SEEDS=1-20000   simulated ensembles with everything failing, a line per seed in SIM_LOG and a table of all; goes on where it was interrupted
#   make faults MINUTES=60   real processes killed, paused, cut off and robbed under load, a line per seed in FAULTS_LOG; goes on likewise
#   make soak-locks    those of the seeds FROM to TO, with a line for each range in docs/locks-soak.md
#   make fuzz      every fuzz target for FUZZTIME (10s), or those that FUZZ matches; the executions of all runs are added up in bin/fuzz.txt
#   make fuzz-decoders  the decoders of frames, transactions and files, FUZZTIME (2m) each, round and round until EXECS (100,000,000) are in bin/fuzz.txt
#   make storage-faults  crashes, torn tails, flipped bits and full disks under the storage, at full size: minutes
#   make hostile   FRAMES (1,000,000) mutated frames at an ensemble; make crowd: CROWD (10,000) sessions, watchers, idle connections, slow readers
#   make interop   foreign clients against docent, docent's client and stories against Apache ZooKeeper; writes docs/interop.md
#   make interop-newest  the same, with newer versions beside Debian's (needs Maven and pip)
#   make interop-ci  a slice of that, in minutes, which writes no page but fails where it would have an empty cell
#   make examples  the stories of examples/

PKG      ?= ./...
BENCH    ?= .
FUZZTIME ?= 10s

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.7.0
# go-zookeeper's checks are a module of their own, which ./... does not reach.
GOZK = internal/interop/gozk

.PHONY: check fmt vet staticcheck test race race-command bench bench-client bench-locks figures bench-table figures-try schedules sim faults soak soak-locks fuzz fuzz-decoders storage-faults hostile crowd interop interop-newest interop-ci interop-page examples

check: fmt vet staticcheck test

fmt:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted by gofmt:"; echo "$$files"; exit 1; fi

vet:
	go vet ./...
	cd $(GOZK) && go vet ./...

staticcheck:
	$(STATICCHECK) ./...
	cd $(GOZK) && $(STATICCHECK) ./...

test:
	go test ./...

# One processor for each test program, two programs at a time: with more, the race detector of Go 1.25 and 1.26 now and
# then crashes on timers in bubbles of testing/synctest. Races are found all the same: it looks at order, not at luck.
# The command's tests use no such bubbles, and wait for processes most of the time: many at once. Left out are those whose
# load or number of processes is what they are about; what runs in those processes has its faults under the detector elsewhere.
BESIDE_RACE = KillBudget|Survive|Exclusion|Hostile|Transfer_|RollingRestart|LargeTree|Scenario|NeverFires|PausedLeader|StaticAndQuick|Pages|Bench|Idle|DiskFull|Crowd
race:
	GOMAXPROCS=1 go test -race -p 2 -timeout 15m $$(go list ./... | grep -v '/cmd/docent$$')

race-command:
	go test -race -parallel 6 -timeout 15m -skip '$(BESIDE_RACE)' ./cmd/docent

bench:
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

bench-client:
	go run ./internal/interop/clientbench

bench-locks:
	DOCENT_REQUIRE_PEERS=1 go test -run '^$$' -bench '^BenchmarkLocks$$' -benchtime 1x ./internal/interop

FIGURES = go run ./cmd/docent/internal/figures
ROWS    ?=
figures:
	$(FIGURES) -rows '$(ROWS)'

bench-table:
	$(FIGURES) -table -rows '$(ROWS)'

figures-try:
	$(FIGURES) -try -rows '$(ROWS)'

# How many of each kind; a tenth of that on ensembles.
schedules:
	DOCENT_SCHEDULES=500 go test -count=1 -timeout 10m -v -run '^TestSchedules_' ./lock ./leader

# One seed, or a range; none are fresh ones, begun for as long as FOR says. Each has an ensemble of its own, on virtual time; see
# docs/reliability.md.
SEEDS   ?= 1-1000
FOR     ?= 0s
SIM_LOG ?= $(or $(TMPDIR),/tmp)/docent-sim.log
sim:
	@go test -count=1 -timeout 12h -v -run '^TestSim$$' ./internal/sim -args -seeds '$(SEEDS)' -for $(FOR) -log '$(SIM_LOG)' >'$(SIM_LOG).out' 2>&1 || \
		{ grep -v '^ *\(===\|---\)' '$(SIM_LOG).out' | tail -n 400; exit 1; }
	@grep -o 'seeds [0-9]*-[0-9]*: .*' '$(SIM_LOG).out'
	@.ci/sim-table '$(SIM_LOG)'; ! grep ' FAILED ' '$(SIM_LOG)'

# Real processes: seeds from 1 until MINUTES are full, all runs with this log together, or SEEDS=7-9. Links and disks need root.
FAULTS_LOG ?= $(or $(TMPDIR),/tmp)/docent-faults.log
MINUTES    ?= 60
FAULTS      = $(if $(filter command% environment%,$(origin SEEDS)),-seeds $(SEEDS),-minutes $(MINUTES))
faults:
	DOCENT_FULL=1 go test -count=1 -timeout 30m -run '^TestSabotage$$' ./internal/faults
	go test -count=1 -timeout 24h -v -run '^TestFaults$$' ./internal/faults -args $(FAULTS) -log '$(FAULTS_LOG)'
	@! grep ' FAILED ' '$(FAULTS_LOG)'

# The CI's share: fresh seeds for three quarters of a minute. Those that have failed once are run by every go test.
sim-ci:
	@log=$$(mktemp) && $(MAKE) -s sim SEEDS= FOR=45s SIM_LOG="$$log" && rm -f "$$log" "$$log.out"

FROM ?= 1
TO   ?= 100000
soak-locks:
	.ci/soak-locks $(FROM) $(TO)

# SOAK is how many cycles; tests alone make 10,000.
SOAK ?= 1000000
soak:
	DOCENT_SOAK=$(SOAK) go test -count=1 -timeout 2h -v -run Soak ./client
	go test -count=1 -timeout 1h -run TestWalk ./client -walks 20000

# Each run adds a line for each target to bin/fuzz.txt, and prints the sum.
FUZZ ?= .
fuzz:
	.ci/fuzz $(FUZZTIME) '$(FUZZ)' $(PKG)

# What runs on the wire and lies on disks, quickest first. It goes on where it was interrupted.
EXECS ?= 100000000
fuzz-decoders: FUZZTIME = 2m
fuzz-decoders:
	OFTEN_TIMES=1 EXECS=$(EXECS) .ci/fuzz $(FUZZTIME) '^Fuzz(Messages|ReadFrame|Txn|Restore|Entry|PeerBytes)$$' ./internal/wire ./server/internal/tree ./server/internal/replica

# At full size: every place of a crash 20 times, a torn tail at every byte of 64 KiB, every bit of every file flipped.
storage-faults:
	DOCENT_FULL=1 go test -count=1 -timeout 2h -v -run 'Crash|Torn|Flip|DiskFull|OneFailure|Damage|Missing' ./server/internal/storage

# Mutated frames at an ensemble of three processes while healthy clients are watched; FRAMES is how many.
FRAMES ?= 1000000
hostile:
	DOCENT_HOSTILE_FRAMES=$(FRAMES) go test -count=1 -timeout 2h -v -run '^TestHostile_Frames$$' ./cmd/docent

# Crowds: a reconnect storm, a flood of 5 times as many sessions, watchers of one node, 10 times as many watches of one session, a
# thousand cuts, idle connections, slow readers, more writes than memory.
CROWD ?= 10000
crowd:
	DOCENT_CROWD=$(CROWD) go test -count=1 -timeout 60m -v -run '^TestCrowd_' ./cmd/docent

# What passes is recorded here, and docs/interop.md is made of it.
RECORDS ?= $(or $(TMPDIR),/tmp)/docent-interop-records
PEERS = DOCENT_MATRIX='$(RECORDS)' DOCENT_REQUIRE_PEERS=1 go test -count=1 -timeout 19m -p 1 -parallel 4 -v
PAGE  = go run ./internal/interop/matrix/page

# Tests of other packages that use a peer have its name in theirs; those packages import internal/interop/peers.
interop:
	rm -f '$(RECORDS)'
	$(PEERS) ./internal/interop/...
	$(PEERS) -run 'Zoo[Kk]eeper|Kazoo|SQL' $$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/\[.*internal\/interop\/peers/ {print $$1}' | grep -v /internal/interop)
	$(PAGE) -o docs/interop.md '$(RECORDS)'

# Newer versions than Debian's take part beside those, each in a row or a column of its own.
NEWEST ?= $(or $(TMPDIR),/tmp)/docent-interop-newest
interop-newest:
	mvn -q -f internal/interop/testdata/newest/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory='$(NEWEST)/lib'
	python3 -m pip install -q --upgrade --target '$(NEWEST)/python' kazoo==2.11.0
	DOCENT_ZOOKEEPER_DIR='$(NEWEST)' DOCENT_CURATOR_DIR='$(NEWEST)/lib' DOCENT_KAZOO_DIR='$(NEWEST)/python' $(MAKE) interop

# Tests of other packages that use a peer are run by `make test`, too, wherever it is installed, but for this one.
interop-ci:
	rm -f '$(RECORDS)'
	$(PEERS) -short ./internal/interop/...
	$(PEERS) -run '^TestZookeeper$$' ./server/conformance
	$(PAGE) -slice '$(RECORDS)' >/dev/null

interop-page:
	$(PAGE) -slice '$(RECORDS)' >/dev/null

examples:
	@set -e; for dir in examples/*/; do \
		if ls $$dir*.go >/dev/null 2>&1; then echo "go run ./$$dir"; go run ./$$dir; fi; \
	done
