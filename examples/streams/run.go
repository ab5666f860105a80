package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

func (a *app) runLoop() *cobra.Command {
	var everywhere bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use: "run", Short: "Import again and again, until interrupted",
		Long: `Import what streams need, and scheduled tags again and again, until interrupted. Each import is a line.
Meanwhile the file is locked: no other command can use it.`,
		Example: "  streams run\n  streams run -A --interval=1h",
		Args:    args(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval <= 0 {
				return usageError{fmt.Errorf("--interval=%s: want a duration above 0, such as 15m", interval)}
			}
			server := a.streams.API.(*rest.Server)
			loop := schedule.Loop{
				Importer: server.Importer, Namespace: a.namespace, Options: schedule.Options{Interval: interval},
				Imported: a.imported,
				Failed:   func(err error) { fmt.Fprintln(a.errOut, "error:", err) },
			}
			if everywhere {
				loop.Namespace = ""
			}
			err := loop.Run(cmd.Context())
			if cmd.Context().Err() != nil {
				return nil // interrupted, as it is meant to be
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().DurationVar(&interval, "interval", 15*time.Minute,
		"how long after an import a scheduled tag is imported again")
	return cmd
}

// imported tells of an import that the loop made.
func (a *app) imported(stream imagestream.Key, done *imagestream.ImageStreamImport, err error) {
	if err == nil {
		err = importer.Failure(done)
	}
	if err != nil {
		fmt.Fprintf(a.errOut, "error: %s: %v\n", stream, withInsecure(err))
	}
	if done == nil {
		return
	}
	images := done.Status.Images
	if r := done.Status.Repository; r != nil {
		images = append(images[:len(images):len(images)], r.Images...)
	}
	var tags []string
	for _, image := range images {
		if image.Image == nil {
			continue
		}
		tags = append(tags, image.Tag)
		fmt.Fprintf(a.out, "%s/%s imported: %s\n", stream.Namespace, pullspec.JoinTag(stream.Name, image.Tag),
			image.Image.Metadata.Name)
	}
	if done.Status.Import != nil {
		a.warnHeldBack(done.Status.Import, tags)
	}
}
