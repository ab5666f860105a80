package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain STREAM|STREAM:TAG", Short: "Show why a tag points where it does, and what would change that",
		Example:           "  streams explain app:v1\n  streams explain app",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.complete(1, withStreams, anyTag),
		Args:              args(1, 1, "STREAM or STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], ":") {
				key, err := a.stream(args[0], args[0])
				if err != nil {
					return err
				}
				s, err := a.streams.Get(cmd.Context(), key)
				if err != nil {
					return err
				}
				return describe.Reasons(a.out, s)
			}
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			s, err := a.streams.Get(cmd.Context(), key)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, inspect.Explain(s, tag))
			return err
		},
	}
}
