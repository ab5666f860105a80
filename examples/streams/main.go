// Streams keeps image streams in a file and does with them what oc does with those of a cluster.
//
//	streams -db FILE create|apply|export|delete|set-lookup|tag|untag|import|run
//	streams -db FILE get|describe|explain|history|rollback|resume|pin|unpin
//
// "streams help" tells more, and "streams completion" completes commands, streams and tags in a shell.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/imagestreams/imagestreams/imagestream/oc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	code := a.main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// main runs the program, tells its error, and returns how it ends.
func (a *app) main(ctx context.Context, args []string) int {
	err := a.run(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(a.errOut, "error:", err)
	if errors.Is(err, oc.ErrUsage) {
		fmt.Fprintf(a.errOut, "see '%s --help'\n", a.command)
		return 2
	}
	return 1
}
