// Quickstart tells the story of an image stream: imported from a registry, its history kept, short names
// resolved to exact images, a moved tag picked up, rolled back.
//
//	quickstart            the whole story, on a registry that it starts in this process
//	quickstart -f FILE    import the image stream in FILE, YAML or JSON, from where it says, and resolve a short name
//
// With -db FILE the streams are kept, and found again the next time. With -f, credentials come from Docker's
// configuration, and -ca FILE adds certificate authorities in PEM.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var o options
	flag.StringVar(&o.file, "f", "", "the image stream to import, in YAML or JSON")
	flag.StringVar(&o.authorities, "ca", "", "certificate authorities to trust besides the system's, in PEM")
	flag.StringVar(&o.database, "db", "", "a file to keep the streams in; without it they are gone in the end")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}
