#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (10 minutes), then the rapid tests with three seeds and STEPS checks each, and prints counts.
# A finding fails the run; go test has then written it under testdata/fuzz.
set -euo pipefail
SEED=${SEED:-1}
FUZZTIME=${FUZZTIME:-10m}
CHECKS=${CHECKS:-34000}
targets=0
rapid=0
for mod in $(git ls-files '*go.mod' | sort); do
	dir=$(dirname "$mod")
	for pkg in $(cd "$dir" && go list ./...); do
		for target in $(cd "$dir" && go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
			echo "== $pkg $target"
			(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$pkg" | tail -3)
			targets=$((targets + 1))
		done
		if (cd "$dir" && go list -f '{{join .XTestImports "\n"}}{{"\n"}}{{join .TestImports "\n"}}' "$pkg") | grep -q '^pgregory.net/rapid$'; then
			for seed in "$SEED" $((SEED + 1)) $((SEED + 2)); do
				echo "== $pkg rapid seed $seed"
				(cd "$dir" && go test -count 1 -timeout 60m "$pkg" -rapid.seed "$seed" -rapid.checks "$CHECKS" | tail -3)
				rapid=$((rapid + 1))
			done
		fi
	done
done
echo "torture: $targets fuzz targets of $FUZZTIME, $rapid rapid runs of $CHECKS checks a property, no finding"
