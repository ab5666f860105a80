package apiserver

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	registry "k8s.io/apiserver/pkg/registry/rest"
)

// selfReviews is the resource selfsubjectaccessreviews of a server that stands alone: "oc auth can-i". Everybody who is
// known may ask about themselves.
type selfReviews struct {
	authorizer authorizer.UnconditionalAuthorizer
}

func (selfReviews) New() runtime.Object     { return &authorizationv1.SelfSubjectAccessReview{} }
func (selfReviews) Destroy()                {}
func (selfReviews) NamespaceScoped() bool   { return false }
func (selfReviews) GetSingularName() string { return "selfsubjectaccessreview" }

func (s selfReviews) Create(
	ctx context.Context, object runtime.Object, validate registry.ValidateObjectFunc, _ *metav1.CreateOptions,
) (runtime.Object, error) {
	review := object.(*authorizationv1.SelfSubjectAccessReview)
	if err := validate(ctx, review.DeepCopy()); err != nil {
		return nil, err
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest(errNobody.Error())
	}
	asked, err := attributesOf(who, review.Spec)
	if err != nil {
		return nil, err
	}
	decision, reason, err := s.authorizer.Authorize(ctx, asked)
	review.Status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow, Denied: decision == authorizer.DecisionDeny, Reason: reason,
	}
	if err != nil {
		review.Status.EvaluationError = err.Error()
	}
	return review, nil
}

func attributesOf(
	who user.Info, spec authorizationv1.SelfSubjectAccessReviewSpec,
) (authorizer.AttributesRecord, error) {
	r, path := spec.ResourceAttributes, spec.NonResourceAttributes
	switch {
	case r != nil && path == nil:
		return authorizer.AttributesRecord{
			User: who, ResourceRequest: true, Verb: r.Verb, Namespace: r.Namespace, Name: r.Name,
			APIGroup: r.Group, APIVersion: r.Version, Resource: r.Resource, Subresource: r.Subresource,
		}, nil
	case r == nil && path != nil:
		return authorizer.AttributesRecord{User: who, Verb: path.Verb, Path: path.Path}, nil
	}
	return authorizer.AttributesRecord{}, apierrors.NewBadRequest(
		"a review asks about one of spec.resourceAttributes and spec.nonResourceAttributes")
}
