package clients

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/lookup"
)

var imageLine = regexp.MustCompile(`(?m)^ +image: .*$`)

// resolve rewrites a manifest by the streams that the server has into another file, and returns the lines of images
// there.
func (s *story) resolve(ctx context.Context, from, to string) (string, error) {
	clientset, err := imageclient.NewForConfig(s.config)
	if err != nil {
		return "", err
	}
	source := &openshift.Reader{Client: clientset}
	rewriter, err := yaml.New(&lookup.Resolver{Source: source, InternalRegistry: internalRegistry}, yaml.Options{})
	if err != nil {
		return "", err
	}
	manifest, err := os.ReadFile(filepath.Join(s.dir, from))
	if err != nil {
		return "", err
	}
	result, err := rewriter.Rewrite(ctx, manifest)
	if err != nil {
		return "", err
	}
	if len(result.Reports) > 0 {
		return "", errors.New(result.Reports[0].String())
	}
	images := imageLine.FindAllString(string(result.Bytes), -1)
	for i := range images {
		images[i] = strings.TrimSpace(images[i])
	}
	return strings.Join(images, "\n"), os.WriteFile(filepath.Join(s.dir, to), result.Bytes, 0o600)
}
