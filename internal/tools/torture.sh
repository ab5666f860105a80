#!/usr/bin/env bash
# Runs what is too long for the gate and prints counts: every fuzz target for FUZZTIME, JOBS of them at a time, then the rapid tests of every
# package with the seeds SEED, SEED+1 and SEED+2 and CHECKS checks a property, of 30 steps each on average, then the
# laws of safe pruning on CLUSTERS clusters with each of these seeds. ONLY, a regular expression on
# "package target", narrows the fuzz targets down. A finding fails the run; go test has then written it under testdata/fuzz. At last an etcd
# cluster suffers CHAOS faults under its clients, a Kubernetes API server is killed SERVERS_KILLED times under writers, three loops share a
# simulated day, three workers import every tag ROUNDS times while they are killed, processes with a file of adapters/bolt are killed KILLED
# times, and DAMAGED files of each kind of damage are opened.
set -euo pipefail
export SEED=${SEED:-1} FUZZTIME=${FUZZTIME:-10m} CHECKS=${CHECKS:-3400}
CLUSTERS=${CLUSTERS:-100000}
JOBS=${JOBS:-2}
ONLY=${ONLY:-.}
root=$(pwd)
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
fuzz() { # dir package target log
	cd "$1"
	if go test -run '^$' -fuzz "^$3\$" -fuzztime "$FUZZTIME" -parallel 1 "$2" >"$4" 2>&1; then
		echo "fuzz $2 $3: $(grep -o 'execs: [0-9]*' "$4" | tail -1), $(grep -o 'total: [0-9]*' "$4" | tail -1) interesting, no finding"
	else
		echo "fuzz $2 $3: FOUND SOMETHING"
		tail -40 "$4"
		return 1
	fi
}
export -f fuzz
: >"$log/targets"
: >"$log/rapid"
for mod in $(git ls-files '*go.mod' | sort); do
	dir=$root/$(dirname "$mod")
	while read -r pkg; do
		(cd "$dir" && go test -list '^Fuzz' "$pkg") | { grep '^Fuzz' || true; } | while read -r target; do
			if [[ "$pkg $target" =~ $ONLY ]]; then echo "$dir $pkg $target $log/$(basename "$pkg").$target" >>"$log/targets"; fi
		done
		if (cd "$dir" && go list -f '{{join .XTestImports " "}} {{join .TestImports " "}}' "$pkg") | grep -q 'pgregory.net/rapid'; then
			echo "$dir $pkg" >>"$log/rapid"
		fi
	done < <(cd "$dir" && go list ./...)
done
[[ -s $log/targets ]] || { echo "torture: no fuzz target matches ONLY=$ONLY" >&2; exit 2; }
xargs -P "$JOBS" -L 1 bash -c 'fuzz "$@"' _ <"$log/targets"
while read -r dir pkg; do
	for seed in "$SEED" $((SEED + 1)) $((SEED + 2)); do
		(cd "$dir" && go test -count 1 -timeout 60m "$pkg" -rapid.seed "$seed" -rapid.checks "$CHECKS" >/dev/null)
		echo "rapid $pkg seed $seed: $CHECKS checks a property, about $((CHECKS * 30)) steps a state machine, no finding"
	done
done <"$log/rapid"
for seed in "$SEED" $((SEED + 1)) $((SEED + 2)); do
	(cd "$root" && go test -count 1 -timeout 120m ./imagestream/prune -run '^Test(Safe|Push)Law$' -rapid.seed "$seed" -rapid.checks "$CLUSTERS" >/dev/null)
	echo "safe pruning, seed $seed: $CLUSTERS clusters, a failure at every step and a push before every read, no finding"
done
(cd "$root" && go test -count 1 -timeout 120m ./imagestream/oc -run '^TestClientAndWordsAgree$' -rapid.seed "$SEED" -rapid.checks "${SEQUENCES:-100000}" >/dev/null)
echo "client and words of oc, seed $SEED: ${SEQUENCES:-100000} sequences of about 30 commands, no finding"
(cd "$root/adapters/etcd" && CHAOS=${CHAOS:-100} go test -count 1 -v -timeout 120m -run 'TestChaos$' . | grep -v '^{')
(cd "$root/adapters/kube" && KUBE_KILLED=${SERVERS_KILLED:-50} go test -count 1 -v -timeout 60m -run '^TestKilledUnderWriters$' .) >"$log/kube" ||
	{ tail -40 "$log/kube"; exit 1; }
sed -n 's/^ .*: \([0-9]* writes by .*\)/kube: \1/p' "$log/kube"
for seed in "$SEED" $((SEED + 1)) $((SEED + 2)); do
	(cd "$root" && SEED=$seed LOOP_STREAMS=5000 LOOP_HOURS=24 go test -count 1 -timeout 60m ./importer/schedule -run '^TestGoodStreamsKeepTheirSchedule$' >/dev/null)
	echo "loop, seed $seed: 5000 streams for 24 hours beside hosts that hang, wait and fail, no good one late"
done
for seed in "$SEED" $((SEED + 1)) $((SEED + 2)); do
	(cd "$root" && SEED=$seed DAY_STREAMS=60 go test -count 1 -timeout 60m -v ./importer/schedule -run '^TestADayOfThreeProcesses$') >"$log/day" || { tail -40 "$log/day"; exit 1; }
	sed -n "s/^ *ledger_test.go:[0-9]*: /a simulated day of three loops, seed $seed: /p" "$log/day"
done
(cd "$root/examples" && WORKER_ROUNDS=${ROUNDS:-96} go test -count 1 -timeout 60m -v -run '^TestThreeWorkers$' ./worker) >"$log/worker" || { tail -40 "$log/worker"; exit 1; }
sed -n 's/^ *day_test.go:[0-9]*: /worker: /p' "$log/worker"
(cd "$root/adapters/bolt" && BOLT_KILLED=${KILLED:-200} BOLT_DAMAGED=${DAMAGED:-500} \
	go test -count 1 -timeout 60m -v -run '^(TestKilled|TestDamagedFiles)$' .) >"$log/bolt" || { tail -40 "$log/bolt"; exit 1; }
sed -n 's/^ *\(---.*\|.*files:.*\|.*rounds,.*\)/bolt: \1/p' "$log/bolt"
echo "torture: $(wc -l <"$log/targets") fuzz targets of $FUZZTIME, $(($(wc -l <"$log/rapid") * 3)) rapid runs, no finding"
