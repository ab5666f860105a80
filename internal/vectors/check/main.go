// Check runs the conformance vectors of a directory through the library.
//
//	go run ./internal/vectors/check [-v] [-ops a,b] [DIR]
//	go run ./internal/vectors/check -show ID [DIR]
//
// It prints a line for each op, "<op> <passed>/<total>", or "<op> not done, <total> cases" if the library does not
// answer the op yet; with -v also the first differences. It exits with 1 if an answer is wrong. With -show it
// prints a case: where its rules are written, what is known (env), the input, and the right answer. Without DIR the
// vectors are those of this repository.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

func main() {
	verbose := flag.Bool("v", false, "print the first differences of each op")
	ops := flag.String("ops", "", "run only these ops, separated by commas")
	id := flag.String("show", "", "print the case of this id, run none")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: check [-v] [-ops a,b] [-show ID] [DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	dir := committed()
	switch flag.NArg() {
	case 0:
	case 1:
		dir = os.DirFS(flag.Arg(0))
	default:
		flag.Usage()
		os.Exit(2)
	}
	ok, err := true, error(nil)
	if *id != "" {
		err = show(os.Stdout, dir, *id)
	} else {
		ok, err = run(os.Stdout, dir, *ops, *verbose)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

// run runs the cases of dir, prints what came of them, and tells whether every answer was right.
func run(w io.Writer, dir fs.FS, ops string, verbose bool) (bool, error) {
	var only []string
	if ops != "" {
		only = strings.Split(ops, ",")
	}
	results, err := runAll(dir, only, runners)
	if err != nil {
		return false, err
	}
	return report(w, results, verbose), nil
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

func runAll(dir fs.FS, only []string, runners map[string]runner) ([]result, error) {
	byOp := map[string]*result{}
	for c, err := range vectors.All(dir) {
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
			return nil, fmt.Errorf("there is no case of op %s", op)
		}
	}
	results := make([]result, 0, len(byOp))
	for _, r := range byOp {
		results = append(results, *r)
	}
	slices.SortFunc(results, func(a, b result) int { return strings.Compare(a.op, b.op) })
	return results, nil
}

// report prints results and tells whether every case passed of every op that has a runner.
func report(w io.Writer, results []result, verbose bool) bool {
	ok := true
	for _, r := range results {
		if r.noRunner {
			fmt.Fprintf(w, "%s not done, %d cases\n", r.op, r.total)
			continue
		}
		fmt.Fprintf(w, "%s %d/%d\n", r.op, r.passed, r.total)
		ok = ok && r.passed == r.total
		if verbose {
			for _, line := range r.problems {
				fmt.Fprintf(w, "\t%s\n", line)
			}
		}
	}
	return ok
}
