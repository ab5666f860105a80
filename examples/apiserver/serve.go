package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/authentication/user"
	genericserver "k8s.io/apiserver/pkg/server"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// serve serves a store, and imports into it, until ctx ends or something fails.
func (f *flags) serve(ctx context.Context, store imagestream.Store, out, errOut io.Writer) error {
	token := rand.Text()
	if !f.inCluster {
		owner := apiserver.User{Name: "admin", Token: token, Groups: []string{user.SystemPrivilegedGroup}}
		f.server.Access = &apiserver.Access{Users: []apiserver.User{owner}}
	}
	config, err := f.server.Config()
	if err != nil {
		return errors.Join(err, f.close())
	}
	secrets := &apiserver.Secrets{}
	if f.storage.db != "" {
		if secrets, err = apiserver.OpenSecrets(f.storage.db + ".secrets"); err != nil {
			return errors.Join(err, f.close())
		}
	}
	settings := imagestream.Settings{InternalRegistry: f.imports.internalRegistry}
	engine := &write.Engine{Store: store, Settings: settings, Authorizer: config.Authorizer()}
	importer, err := f.imports.importer(engine, secrets)
	if err != nil {
		return errors.Join(err, f.close())
	}
	config.API = &rest.Server{Engine: engine, Importer: importer, Secrets: secrets.List}
	told := make(chan error, 1)
	if !f.inCluster {
		config.Secrets = secrets
		tell := func(genericserver.PostStartHookContext) error {
			told <- f.tell(config, token, out) // an error of the hook would end the process at once
			return nil
		}
		if err := config.Generic.AddPostStartHook("kubeconfig", tell); err != nil {
			return errors.Join(err, f.close())
		}
	}
	server, err := config.New()
	if err != nil {
		return errors.Join(err, f.close())
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return server.Run(ctx) })
	all.Go(func() error {
		select {
		case err := <-told:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	all.Go(func() error {
		if f.imports.off {
			return nil
		}
		err := f.imports.loop(importer, errOut).Run(ctx)
		if ctx.Err() != nil {
			return nil // it ends as it is meant to
		}
		return err
	})
	return all.Wait()
}

// tell writes the kubeconfig, and says where it is.
func (f *flags) tell(config *apiserver.Config, token string, out io.Writer) error {
	file := cmp.Or(f.kubeconfig, "imagestreams.kubeconfig")
	client := config.Client()
	client.BearerToken = token
	if err := apiserver.WriteKubeconfig(file, client, f.namespace); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	fmt.Fprintf(out, "%s is ready: oc --kubeconfig %s create is app\n", client.Host, file)
	return nil
}
