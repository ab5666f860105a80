package openshift_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clienttesting "k8s.io/client-go/testing"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

func ExampleError() {
	_, err := rest.New(&fakes.Store{}, nil).ImageStreams().Get(context.Background(), key)
	theirs := openshift.Error(err)
	fmt.Println(apierrors.IsNotFound(theirs), errors.Is(theirs, imagestream.ErrNotFound))

	cluster := apierrors.NewConflict(imagev1.Resource("imagestreams"), "app", errors.New("somebody else wrote"))
	ours := openshift.Error(cluster)
	fmt.Println(apierrors.IsConflict(ours), errors.Is(ours, imagestream.ErrConflict))
	// Output:
	// true true
	// true true
}

var streamKind = imagev1.GroupVersion.WithKind("ImageStream").GroupKind()

// questions are apimachinery's functions about errors, by the reasons for which they hold.
var questions = map[metav1.StatusReason]func(error) bool{
	metav1.StatusReasonUnauthorized:          apierrors.IsUnauthorized,
	metav1.StatusReasonForbidden:             apierrors.IsForbidden,
	metav1.StatusReasonNotFound:              apierrors.IsNotFound,
	metav1.StatusReasonAlreadyExists:         apierrors.IsAlreadyExists,
	metav1.StatusReasonConflict:              apierrors.IsConflict,
	metav1.StatusReasonGone:                  apierrors.IsGone,
	metav1.StatusReasonInvalid:               apierrors.IsInvalid,
	metav1.StatusReasonServerTimeout:         apierrors.IsServerTimeout,
	metav1.StatusReasonStoreReadError:        apierrors.IsStoreReadError,
	metav1.StatusReasonTimeout:               apierrors.IsTimeout,
	metav1.StatusReasonTooManyRequests:       apierrors.IsTooManyRequests,
	metav1.StatusReasonBadRequest:            apierrors.IsBadRequest,
	metav1.StatusReasonMethodNotAllowed:      apierrors.IsMethodNotSupported,
	metav1.StatusReasonNotAcceptable:         apierrors.IsNotAcceptable,
	metav1.StatusReasonRequestEntityTooLarge: apierrors.IsRequestEntityTooLargeError,
	metav1.StatusReasonUnsupportedMediaType:  apierrors.IsUnsupportedMediaType,
	metav1.StatusReasonInternalError:         apierrors.IsInternalError,
	metav1.StatusReasonExpired:               apierrors.IsResourceExpired,
	metav1.StatusReasonServiceUnavailable:    apierrors.IsServiceUnavailable,
}

// classesOf are the library's classes by reason.
var classesOf = map[metav1.StatusReason]error{
	metav1.StatusReasonNotFound: imagestream.ErrNotFound, metav1.StatusReasonAlreadyExists: imagestream.ErrAlreadyExists,
	metav1.StatusReasonConflict: imagestream.ErrConflict, metav1.StatusReasonGone: imagestream.ErrGone,
	metav1.StatusReasonExpired: imagestream.ErrGone, metav1.StatusReasonInvalid: imagestream.ErrInvalid,
	metav1.StatusReasonForbidden:             imagestream.ErrForbidden,
	metav1.StatusReasonRequestEntityTooLarge: imagestream.ErrTooLarge,
	metav1.StatusReasonMethodNotAllowed:      imagestream.ErrUnsupported,
}

var allClasses = []error{
	imagestream.ErrNotFound, imagestream.ErrAlreadyExists, imagestream.ErrConflict, imagestream.ErrGone,
	imagestream.ErrInvalid, imagestream.ErrForbidden, imagestream.ErrTooLarge, imagestream.ErrUnsupported,
}

// holds checks that exactly the questions and classes of a reason hold for err.
func holds(t *testing.T, err error, reason metav1.StatusReason) {
	t.Helper()
	for asked, question := range questions {
		if got, want := question(err), asked == reason; got != want {
			t.Errorf("is %q of the reason %s: %t", err, asked, got)
		}
	}
	for _, class := range allClasses {
		if got, want := errors.Is(err, class), class == classesOf[reason]; got != want {
			t.Errorf("is %q of the class %q: %t", err, class, got)
		}
	}
	var own *imagestream.StatusError
	if !errors.As(err, &own) || own.Reason != imagestream.StatusReason(reason) {
		t.Errorf("%q holds the StatusError %+v, want one with the reason %s", err, own, reason)
	}
}

func TestErrorOfEveryReason(t *testing.T) {
	for _, reason := range slices.Sorted(maps.Keys(questions)) {
		ours := imagestream.NewError(imagestream.StatusReason(reason), imagestream.ResourceImageStreams, key, "why")
		theirs := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: reason, Code: 418, Message: "why"}}
		for name, err := range map[string]error{
			"ours": ours, "ours wrapped": fmt.Errorf("get: %w", ours), "ours joined": errors.Join(io.EOF, ours),
			"theirs": theirs, "theirs wrapped": fmt.Errorf("get: %w", theirs),
			"wrapped afterwards": fmt.Errorf("get: %w", openshift.Error(ours)),
		} {
			t.Run(string(reason)+"/"+name, func(t *testing.T) {
				both := openshift.Error(err)
				holds(t, both, reason)
				if !errors.Is(both, err) || both.Error() != err.Error() {
					t.Errorf("%q does not wrap %q under its text", both, err)
				}
				if again := openshift.Error(both); again != both {
					t.Errorf("asked again, it is %#v", again)
				}
				var own *imagestream.StatusError
				errors.As(both, &own)
				holds(t, openshift.Error(own), reason)
			})
		}
	}
}

// TestErrorOfReasonsAndCodes: the codes that go with reasons are those that apimachinery's own constructors give.
func TestErrorOfReasonsAndCodes(t *testing.T) {
	resource := imagev1.Resource("imagestreams")
	for _, theirs := range []*apierrors.StatusError{
		apierrors.NewNotFound(resource, "app"), apierrors.NewAlreadyExists(resource, "app"), apierrors.NewUnauthorized("why"),
		apierrors.NewForbidden(resource, "app", errors.New("why")), apierrors.NewConflict(resource, "app", errors.New("why")),
		apierrors.NewResourceExpired("why"), apierrors.NewBadRequest("why"),
		//lint:ignore SA1019 servers that are older answer so
		apierrors.NewGone("why"),
		apierrors.NewInvalid(streamKind, "app", field.ErrorList{field.Required(field.NewPath("spec"), "why")}),
		apierrors.NewTooManyRequests("why", 7), apierrors.NewServiceUnavailable("why"),
		apierrors.NewMethodNotSupported(resource, "get"),
		apierrors.NewServerTimeout(resource, "get", 7), apierrors.NewInternalError(errors.New("why")),
		apierrors.NewTimeoutError("why", 7), apierrors.NewRequestEntityTooLargeError("why"),
		apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, "app"),
	} {
		t.Run(string(theirs.ErrStatus.Reason), func(t *testing.T) {
			var own *imagestream.StatusError
			errors.As(openshift.Error(theirs), &own)
			var status apierrors.APIStatus
			errors.As(openshift.Error(own), &status)
			got, want := status.Status(), theirs.Status()
			if got.Code != want.Code || got.Reason != want.Reason || got.Status != want.Status {
				t.Errorf("there and back: %+v, want %+v", got, want)
			}
			before, okBefore := apierrors.SuggestsClientDelay(theirs)
			after, okAfter := apierrors.SuggestsClientDelay(openshift.Error(own))
			if before != after || okBefore != okAfter {
				t.Errorf("there and back, it says to wait %d (%t), want %d (%t)", after, okAfter, before, okBefore)
			}
		})
	}
}

func TestErrorKeepsDetails(t *testing.T) {
	theirs := apierrors.NewInvalid(streamKind, "app", field.ErrorList{
		field.Invalid(field.NewPath("spec", "tags").Key("v1"), "V1", "a tag is lower case"),
		field.Required(field.NewPath("metadata", "name"), "a name"),
	})
	theirs.ErrStatus.Details.RetryAfterSeconds = 3
	theirs.ErrStatus.Details.UID = "one"
	both := openshift.Error(theirs)
	var status apierrors.APIStatus
	if !errors.As(both, &status) {
		t.Fatal("no APIStatus")
	}
	if diff := cmp.Diff(theirs.ErrStatus, status.Status()); diff != "" {
		t.Errorf("the status changed:\n%s", diff)
	}
	var own *imagestream.StatusError
	errors.As(both, &own)
	if own.Resource != imagestream.ResourceImageStreams || own.Key.Name != "app" || own.RetryAfter != 3*time.Second ||
		len(own.Errors) != 2 || own.Errors[0].Type != imagestream.FieldInvalid || own.Errors[0].Field != "spec.tags[v1]" ||
		own.Errors[1].Type != imagestream.FieldRequired {
		t.Errorf("the failure is %+v with the fields %v", own, own.Errors)
	}
	errors.As(openshift.Error(own), &status)
	got, want := status.Status().Details, theirs.ErrStatus.Details.DeepCopy()
	want.UID = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("there and back, the details changed:\n%s", diff)
	}
	status.Status().Details.Causes[0].Field = "changed"
	if status.Status().Details.Causes[0].Field != "spec.tags[v1]" {
		t.Error("what the caller changed in a status is kept")
	}
}

func TestErrorTexts(t *testing.T) {
	resource := imagev1.Resource("imagestreams")
	name := field.ErrorList{field.Required(field.NewPath("metadata.name"), "x")}
	for _, tc := range []struct {
		want   string
		theirs error
	}{
		{`imagestreams.image.openshift.io "app" not found`, apierrors.NewNotFound(resource, "app")},
		{`imagestreams.image.openshift.io "app" is forbidden: no`, apierrors.NewForbidden(resource, "app", errors.New("no"))},
		{
			`Operation cannot be fulfilled on imagestreams.image.openshift.io "app": too late`,
			apierrors.NewConflict(resource, "app", errors.New("too late")),
		},
		{`Internal error occurred: no`, apierrors.NewInternalError(errors.New("no"))},
		{
			`ImageStream.image.openshift.io "app" is invalid: metadata.name: Required value: x`,
			apierrors.NewInvalid(streamKind, "app", name),
		},
	} {
		var own *imagestream.StatusError
		if !errors.As(openshift.Error(tc.theirs), &own) || own.Status().Message != tc.want {
			t.Errorf("the text of %q is %q, want %q", tc.theirs, own.Status().Message, tc.want)
		}
	}
}

// TestErrorOfUnknownReasons: what apimachinery decides by code, and what a Store says by class alone.
func TestErrorOfUnknownReasons(t *testing.T) {
	for code, class := range map[int32]error{
		404: imagestream.ErrNotFound, 409: imagestream.ErrConflict, 410: imagestream.ErrGone,
		403: imagestream.ErrForbidden, 413: imagestream.ErrTooLarge,
	} {
		for _, reason := range []metav1.StatusReason{"", "OfAProxy"} {
			status := metav1.Status{Code: code, Reason: reason}
			if !errors.Is(openshift.Error(&apierrors.StatusError{ErrStatus: status}), class) {
				t.Errorf("%d with the reason %q is not of the class %q", code, reason, class)
			}
		}
	}
	for reason, class := range classesOf {
		if reason != metav1.StatusReasonGone { // two reasons are of one class; a Store's is Expired
			holds(t, openshift.Error(fmt.Errorf("my store: %w", class)), reason)
		}
	}
	if err := openshift.Error(io.EOF); err != io.EOF {
		t.Errorf("an error of no class became %#v", err)
	}
	if err := openshift.Error(nil); err != nil {
		t.Errorf("nil became %#v", err)
	}
}

// TestErrorOfConflicts lets others overtake a write until its attempts end.
func TestErrorOfConflicts(t *testing.T) {
	store := &fakes.Store{}
	engine := &write.Engine{Store: store, Attempts: 2, Pause: func(int) time.Duration { return 0 }}
	api := &rest.Server{Engine: engine}
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: "app", Namespace: "shop"}}
	if _, err := api.ImageStreams().Create(t.Context(), "shop", stream, rest.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	label := func(value string) write.Change {
		return func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next := old.Clone()
			next.Metadata.Labels = map[string]string{"a": value}
			return next, nil
		}
	}
	calls := 0
	_, err := engine.Update(t.Context(), key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		calls++
		if _, err := engine.Update(t.Context(), key, label(fmt.Sprint(calls))); err != nil {
			return nil, err
		}
		return label("ours")(old)
	})
	var conflict *write.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("the write ended with %v", err)
	}
	both := openshift.Error(err)
	holds(t, both, metav1.StatusReasonConflict)
	if conflict = nil; !errors.As(both, &conflict) || conflict.Attempts != 2 {
		t.Errorf("%v does not say how often the write was tried", both)
	}
	if !errors.Is(openshift.Error(&write.ConflictError{Err: err, Cause: context.Canceled}), context.Canceled) {
		t.Error("the context's error is lost")
	}
}

// TestReaderErrors: what a cluster answers, about the object that was asked for.
func TestReaderErrors(t *testing.T) {
	for _, reason := range slices.Sorted(maps.Keys(questions)) {
		client := fake.NewSimpleClientset()
		status := metav1.Status{Reason: reason, Code: 418, Details: &metav1.StatusDetails{RetryAfterSeconds: 9}}
		client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, &apierrors.StatusError{ErrStatus: status}
		})
		_, err := (&openshift.Reader{Client: client}).GetImageStream(t.Context(), key)
		holds(t, err, reason)
		var own *imagestream.StatusError
		errors.As(err, &own)
		if own.Key != key || own.Resource != imagestream.ResourceImageStreams || own.RetryAfter != 9*time.Second {
			t.Errorf("%s: the failure is %+v", reason, own)
		}
	}
}

// TestFieldsAreWordedAsTheAPIWordsThem compares texts about fields with those that apimachinery makes, and reads them back.
func TestFieldsAreWordedAsTheAPIWordsThem(t *testing.T) {
	path := field.NewPath("spec", "tags").Key("v1")
	for _, tc := range []struct {
		own    *imagestream.FieldError
		theirs *field.Error
	}{
		{&imagestream.FieldError{Type: imagestream.FieldInvalid, Value: "x", Detail: "d"}, field.Invalid(path, "x", "d")},
		{&imagestream.FieldError{Type: imagestream.FieldRequired, Detail: "d"}, field.Required(path, "d")},
		{&imagestream.FieldError{Type: imagestream.FieldForbidden, Detail: "d"}, field.Forbidden(path, "d")},
		{&imagestream.FieldError{Type: imagestream.FieldNotFound, Detail: `"x"`}, field.NotFound(path, "x")},
		{&imagestream.FieldError{Type: imagestream.FieldDuplicate, Detail: `"x"`}, field.Duplicate(path, "x")},
		{&imagestream.FieldError{Type: imagestream.FieldInternal, Detail: "d"}, field.InternalError(path, errors.New("d"))},
	} {
		tc.own.Field = path.String()
		key := imagestream.Key{Namespace: "shop", Name: "app"}
		own := imagestream.ErrorList{tc.own}.Of(imagestream.ResourceImageStreams, key)
		kind := imagev1.GroupVersion.WithKind("ImageStream").GroupKind()
		theirs := apierrors.NewInvalid(kind, "app", field.ErrorList{tc.theirs})
		var status apierrors.APIStatus
		if !errors.As(openshift.Error(own), &status) {
			t.Fatal("it is no error of the API")
		}
		if diff := cmp.Diff(theirs.Status(), status.Status(), cmpopts.IgnoreFields(metav1.Status{}, "TypeMeta", "ListMeta")); diff != "" {
			t.Errorf("%s:\n%s", tc.own.Type, diff)
		}
		var back *imagestream.StatusError
		if !errors.As(openshift.Error(theirs), &back) || len(back.Errors) != 1 || back.Errors[0].Error() != tc.own.Error() {
			t.Errorf("%s comes back as %v", tc.own.Type, back)
		}
	}
}
