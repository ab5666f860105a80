package kube_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
)

// answering returns a store whose cluster answers every write as it says, and how often it was asked.
func answering(t *testing.T, code int, retryAfter, body string) (s *kube.Store, calls *int) {
	t.Helper()
	calls = new(int)
	config := configOf(shared)
	config.Wrap(func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			*calls++
			header := http.Header{"Content-Type": {"application/json"}}
			if retryAfter != "" {
				header.Set("Retry-After", retryAfter)
			}
			return &http.Response{
				StatusCode: code,
				Request:    req,
				Header:     header,
				Body:       io.NopCloser(strings.NewReader(body)),
			}, nil
		})
	})
	return connect(t, config), calls
}

func status(t *testing.T, s metav1.Status) string {
	t.Helper()
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	s.Status = metav1.StatusFailure
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestErrors has the answers of a cluster that the server of these tests does not give.
func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		code   int
		body   string
		reason imagestream.StatusReason
		says   string
		wait   time.Duration
	}{
		"a namespace that is missing": {404, status(t, metav1.Status{
			Code: 404, Reason: metav1.StatusReasonNotFound, Message: `namespaces "shop" not found`,
			Details: &metav1.StatusDetails{Kind: "namespaces", Name: "shop"},
		}), imagestream.ReasonNotFound, `namespaces "shop" not found: create the namespace before its first image stream`, 0},
		"a user who may not": {403, status(t, metav1.Status{
			Code: 403, Reason: metav1.StatusReasonForbidden,
			Message: `imagestreams.imagestreams.github.io is forbidden: User "jane" cannot create resource "imagestreams"`,
			Details: &metav1.StatusDetails{Kind: "imagestreams", Group: kube.Group},
		}), imagestream.ReasonForbidden, `"a" is forbidden in namespace "shop": User "jane" cannot create`, 0},
		"a user who is not known": {401, status(t, metav1.Status{
			Code: 401, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized",
		}), imagestream.ReasonUnauthorized, "Unauthorized", 0},
		"no reason": {401, status(t, metav1.Status{Code: 401, Message: "who"}), imagestream.ReasonUnauthorized, "who", 0},
		"a server that is busy": {503, status(t, metav1.Status{
			Code: 503, Reason: metav1.StatusReasonServiceUnavailable, Message: "busy",
			Details: &metav1.StatusDetails{RetryAfterSeconds: 3},
		}), imagestream.ReasonUnavailable, "busy", 3 * time.Second},
		"an etcd that does not answer": {500, status(t, metav1.Status{
			Code: 500, Reason: metav1.StatusReasonServerTimeout, Message: "slow",
			Details: &metav1.StatusDetails{RetryAfterSeconds: 2},
		}), imagestream.ReasonServerTimeout, "slow", 2 * time.Second},
		"an etcd that refuses the size": {500, status(t, metav1.Status{
			Code: 500, Reason: metav1.StatusReasonInternalError,
			Message: "Internal error occurred: etcdserver: request is too large",
		}), imagestream.ReasonTooLarge, "1.5 MiB", 0},
		"a field that is wrong": {422, status(t, metav1.Status{
			Code: 422, Reason: metav1.StatusReasonInvalid, Message: "many words",
			Details: &metav1.StatusDetails{Name: "a", Causes: []metav1.StatusCause{
				{Type: metav1.CauseTypeFieldValueInvalid, Field: "metadata.labels", Message: "not a label"},
			}},
		}), imagestream.ReasonInvalid, "metadata.labels: not a label", 0},
		"a proxy": {502, "<html>", imagestream.ReasonInternalError, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, calls := answering(t, tc.code, "", tc.body)
			_, err := s.CreateImageStream(t.Context(), newStream("shop", "a"))
			var got *imagestream.StatusError
			if !errors.As(err, &got) || got.Reason != tc.reason || got.RetryAfter != tc.wait ||
				!strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, %+v, want %s and %q", err, got, tc.reason, tc.says)
			}
			if *calls != 1 {
				t.Errorf("it was sent %d times", *calls)
			}
		})
	}
}

// TestWritesAreNotRepeated holds that an answer which leaves the outcome open ends a write, where client-go would
// send it again and take the conflict with itself for an answer.
func TestWritesAreNotRepeated(t *testing.T) {
	open(t)
	config := configOf(shared)
	sent := 0
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && req.Method != http.MethodGet {
				sent++
				resp.Body.Close()
				resp.StatusCode = http.StatusInternalServerError
				resp.Body = io.NopCloser(strings.NewReader("the answer is lost"))
				resp.Header.Set("Retry-After", "0")
			}
			return resp, err
		})
	})
	s := connect(t, config)
	_, err := s.CreateImageStream(t.Context(), newStream("shop", "a"))
	if err == nil || errors.Is(err, imagestream.ErrAlreadyExists) || sent != 1 {
		t.Errorf("create was sent %d times: %v", sent, err)
	}
	a, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "a"})
	if err != nil {
		t.Fatalf("the write was done: %v", err)
	}
	sent = 0
	if _, err := bump(t.Context(), s, a, 1); err == nil || errors.Is(err, imagestream.ErrConflict) || sent != 1 {
		t.Errorf("update was sent %d times: %v", sent, err)
	}
	sent = 0
	err = s.DeleteImageStream(t.Context(), a.Key(), imagestream.Preconditions{})
	if err == nil || errors.Is(err, imagestream.ErrNotFound) || sent != 1 {
		t.Errorf("delete was sent %d times: %v", sent, err)
	}
}
