// Command migrate copies image streams and images from one store to another.
//
//	migrate bolt:streams.db etcd:127.0.0.1:2379
//	migrate etcd:10.0.0.1:2379,10.0.0.2:2379 json:backup.jsonl
//	migrate json:backup.jsonl bolt:streams.db
//
// A store is bolt:FILE, etcd:HOST:PORT[,HOST:PORT], or json:FILE, which has the v1 JSON of an object on each line,
// images first; json:- is the standard input or output. Uid and resourceVersion are the new store's; everything else
// stays as it is. What is there already with the same content is left alone, so that a migration that was interrupted
// is run again. What is there with other content is named, and kept, and what is damaged in the old store is named, and
// left out: migrate ends with 1 then, after all the rest. Stop the writers of the old store before, since the copy is of one moment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		stop()
		os.Exit(1)
	}
}

// run migrates, and tells on report what it did.
func run(ctx context.Context, args []string, in io.Reader, out, report io.Writer) (err error) {
	if len(args) != 2 {
		return fmt.Errorf(
			"want two stores, from and to, such as bolt:streams.db and json:backup.jsonl; got %d arguments",
			len(args),
		)
	}
	from, closeFrom, err := openSource(ctx, args[0], in)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	defer closeFrom()
	to, closeTo, err := openTarget(ctx, args[1], out)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	done, err := migrate(ctx, from, to)
	if closed := closeTo(); err == nil {
		err = closed
	}
	fmt.Fprintf(report, "%d copied, %d there already, %d different\n", done.copied, done.same, len(done.different))
	if done.damage != nil {
		err = errors.Join(err, fmt.Errorf("damaged in %s, and left out: %w", args[0], done.damage))
	}
	if len(done.different) > 0 {
		names := strings.Join(done.different, ", ")
		err = errors.Join(err, fmt.Errorf("different in %s, and kept as they are there: %s", args[1], names))
	}
	return err
}

func nothing() error { return nil }

func openSource(ctx context.Context, name string, in io.Reader) (source, func() error, error) {
	kind, where, _ := strings.Cut(name, ":")
	if kind != "json" {
		store, closeStore, err := openStore(ctx, kind, where, true)
		return storeSource{store}, closeStore, err
	}
	if where == "-" {
		return jsonSource{in}, nothing, nil
	}
	file, err := os.Open(where)
	if err != nil {
		return nil, nil, err
	}
	return jsonSource{file}, file.Close, nil
}

func openTarget(ctx context.Context, name string, out io.Writer) (target, func() error, error) {
	kind, where, _ := strings.Cut(name, ":")
	if kind != "json" {
		store, closeStore, err := openStore(ctx, kind, where, false)
		return storeTarget{store}, closeStore, err
	}
	if where == "-" {
		return jsonTarget{out}, nothing, nil
	}
	file, err := os.OpenFile(where, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return jsonTarget{file}, file.Close, nil
}

func openStore(ctx context.Context, kind, where string, readOnly bool) (imagestream.Store, func() error, error) {
	switch kind {
	case "bolt":
		store, err := bolt.Open(ctx, where, bolt.Options{ReadOnly: readOnly})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	case "etcd":
		client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(where, ",")})
		if err != nil {
			return nil, nil, err
		}
		return etcd.New(client, etcd.Options{}), client.Close, nil
	}
	return nil, nil, fmt.Errorf("a store is bolt:FILE, etcd:HOST:PORT or json:FILE, not %q", kind)
}
