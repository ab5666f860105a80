// Check runs the conformance vectors of a directory through the library.
//
//	go run ./internal/vectors/check [-v] [-ops a,b] DIR
//
// It prints a line an op, "<op> <passed>/<total>", with -v the first differences of each op, and exits 1 if a
// case fails or an op has no runner.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

func main() {
	verbose := flag.Bool("v", false, "print the first differences of each op")
	ops := flag.String("ops", "", "run only these ops, separated by commas")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: check [-v] [-ops a,b] DIR")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	var only []string
	if *ops != "" {
		only = strings.Split(*ops, ",")
	}
	results, err := runAll(flag.Arg(0), only, runners)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	if !report(os.Stdout, results, *verbose) {
		os.Exit(1)
	}
}

// result is what came of one op.
type result struct {
	op            string
	passed, total int
	noRunner      bool
	problems      []string // of the first cases that failed
}

// shownCases is how many failing cases of an op are kept for -v.
const shownCases = 3

func runAll(dir string, only []string, runners map[string]runner) ([]result, error) {
	byOp := map[string]*result{}
	for c, err := range vectors.All(os.DirFS(dir)) {
		if err != nil {
			return nil, err
		}
		if only != nil && !slices.Contains(only, c.Op) {
			continue
		}
		r := byOp[c.Op]
		if r == nil {
			r = &result{op: c.Op}
			byOp[c.Op] = r
		}
		r.total++
		run, ok := runners[c.Op]
		if !ok {
			r.noRunner = true
			continue
		}
		problems := check(c, run)
		if len(problems) == 0 {
			r.passed++
		} else if r.total-r.passed <= shownCases {
			r.problems = append(r.problems, fmt.Sprintf("%s (%s)", c.ID, c.Note))
			r.problems = append(r.problems, problems...)
		}
	}
	for _, op := range only {
		if byOp[op] == nil {
			return nil, fmt.Errorf("%s has no case of op %s", dir, op)
		}
	}
	results := make([]result, 0, len(byOp))
	for _, r := range byOp {
		results = append(results, *r)
	}
	slices.SortFunc(results, func(a, b result) int { return strings.Compare(a.op, b.op) })
	return results, nil
}

// report prints results and tells whether every case of every op passed.
func report(w io.Writer, results []result, verbose bool) bool {
	ok := true
	for _, r := range results {
		fmt.Fprintf(w, "%s %d/%d\n", r.op, r.passed, r.total)
		ok = ok && r.passed == r.total
		if verbose {
			if r.noRunner {
				fmt.Fprintln(w, "\tno runner")
			}
			for _, line := range r.problems {
				fmt.Fprintf(w, "\t%s\n", line)
			}
		}
	}
	return ok
}
