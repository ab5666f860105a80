package apiserver

import (
	"context"
	"errors"
	"fmt"

	imagev1 "github.com/openshift/api/image/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/imagestreams/imagestreams/imagestream"
)

// layersAuthorizer asks who decides about requests the question of the rules, as a SubjectAccessReview does: may this
// user get imagestreams/layers there?
type layersAuthorizer func() authorizer.UnconditionalAuthorizer

var errNobody = errors.New("nobody asks: the context is not that of a request to the server")

func (a layersAuthorizer) MayGetLayers(ctx context.Context, stream imagestream.Key) (bool, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return false, errNobody
	}
	decision, _, err := a().Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "get", ResourceRequest: true,
		APIGroup: imagev1.GroupName, APIVersion: imagev1.GroupVersion.Version,
		Resource: imagestream.ResourceImageStreams, Subresource: "layers",
		Namespace: stream.Namespace, Name: stream.Name,
	})
	switch {
	case decision == authorizer.DecisionAllow:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("ask whether %q may get the layers of image stream %s: %w", who.GetName(), stream, err)
	}
	return false, nil
}
