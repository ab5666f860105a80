// Command migrate copies image streams and images from one store to another.
//
//	migrate bolt:streams.db etcd:127.0.0.1:2379
//	migrate etcd:10.0.0.1:2379,10.0.0.2:2379 json:backup.jsonl
//	migrate json:backup.jsonl bolt:streams.db
//	migrate bolt:streams.db kube:$HOME/.kube/config
//
// A store is bolt:FILE, etcd:HOST:PORT[,HOST:PORT], kube:FILE, the cluster that a kubeconfig names, or json:FILE, which
// has the v1 JSON of an object on each line, images first; json:- is the standard input or output. Uid and
// resourceVersion are the new store's; everything else stays as it is. A cluster deletes streams whose owners it does
// not have: remove their owner references first.
//
// What is there already with the same content is left alone, so that a migration that was interrupted is run again.
// What is there with other content is named, and kept, and what is damaged in the old store is named, and left out:
// migrate ends with 1 then, after all the rest. A json:FILE appears when it is complete; one that is there is never
// replaced. Stop the writers of the old store before, since the copy is of one moment.
//
// The connection to etcd is encrypted if -etcd-ca or -etcd-cert is given, or for https://HOST:PORT, which trusts the
// certificates of the system. The flags are for both stores if both are etcd.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/adapters/kube"
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
	var access etcdAccess
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	access.flags(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(report, "migrate [flags] FROM TO: copy image streams and images from one store to another")
		flags.SetOutput(report)
		flags.PrintDefaults()
		return nil
	} else if err != nil {
		return err
	}
	if args = flags.Args(); len(args) != 2 {
		return fmt.Errorf(
			"want two stores, from and to, such as bolt:streams.db and json:backup.jsonl; got %d arguments",
			len(args),
		)
	}
	from, closeFrom, err := openSource(ctx, args[0], access, in)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	defer closeFrom()
	to, finish, err := openTarget(ctx, args[1], access, out)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	done, err := migrate(ctx, from, to)
	err = finish(err)
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

func openSource(ctx context.Context, name string, access etcdAccess, in io.Reader) (source, func() error, error) {
	kind, where, _ := strings.Cut(name, ":")
	if kind != "json" {
		store, closeStore, err := openStore(ctx, kind, where, access, true)
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

// openTarget also returns what ends the work: it is told how that went, and returns that, or how it failed itself.
func openTarget(
	ctx context.Context, name string, access etcdAccess, out io.Writer,
) (target, func(error) error, error) {
	kind, where, _ := strings.Cut(name, ":")
	if kind != "json" {
		store, closeStore, err := openStore(ctx, kind, where, access, false)
		return storeTarget{store}, func(err error) error { return cmp.Or(err, closeStore()) }, err
	}
	if where == "-" {
		return jsonTarget{out}, func(err error) error { return err }, nil
	}
	if err := absent(where); err != nil {
		return nil, nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(where), filepath.Base(where)+".*.part")
	if err != nil {
		return nil, nil, err
	}
	return jsonTarget{file}, func(err error) error { return finishFile(file, where, err) }, nil
}

// absent returns an error if a file is there.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return &os.PathError{Op: "create", Path: path, Err: os.ErrExist}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return nil
}

// finishFile gives a file its name if all went well, and removes it otherwise.
func finishFile(file *os.File, path string, err error) error {
	if err == nil {
		err = file.Sync()
	}
	err = cmp.Or(err, file.Close())
	if err == nil {
		err = absent(path)
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

func openStore(
	ctx context.Context, kind, where string, access etcdAccess, readOnly bool,
) (imagestream.Store, func() error, error) {
	switch kind {
	case "bolt":
		store, err := bolt.Open(ctx, where, bolt.Options{ReadOnly: readOnly})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	case "etcd":
		client, err := access.connect(ctx, strings.Split(where, ","))
		if err != nil {
			return nil, nil, err
		}
		return etcd.New(client, etcd.Options{}), client.Close, nil
	case "kube":
		config, err := (&clientcmd.ClientConfigLoadingRules{ExplicitPath: where}).Load()
		if err != nil {
			return nil, nil, err
		}
		cluster, err := clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
		if err != nil {
			return nil, nil, err
		}
		store, err := kube.New(cluster)
		return store, nothing, err
	}
	return nil, nil, fmt.Errorf("a store is bolt:FILE, etcd:HOST:PORT, kube:FILE or json:FILE, not %q", kind)
}
