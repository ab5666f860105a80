package oci_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

func TestTimeAndContext(t *testing.T) {
	release := make(chan struct{})
	server, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	_, err := pull(t, server, oci.Options{Timeout: time.Millisecond}, importer.Access{})
	if f := failure(t, err); f.Class != importer.ClassUnavailable || !strings.Contains(f.Error(), "within 1ms") {
		t.Errorf("no answer in time: %v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opts := oci.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { cancel(); return next.RoundTrip(r) })
	}}
	if _, err := open(t, server, opts, importer.Access{}, "org/app").Manifest(ctx,
		importer.Ref{Tag: "v1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that ends: %v", err)
	}
}

// TestWaitingForTheFirstQuestionEnds asks a second question under a context that is over while the first is stuck.
func TestWaitingForTheFirstQuestionEnds(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		ok(w, r)
	})
	repository := open(t, server, oci.Options{}, importer.Access{}, "org/app")
	first := make(chan error)
	go func() {
		_, err := repository.Manifest(t.Context(), importer.Ref{Tag: "v1"})
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := repository.Manifest(ctx, importer.Ref{Tag: "v1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the second question ends with %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first question ends with %v", err)
	}
}

// TestTheFirstAnswerOpensTheGate asks 24 tags that are not there, 0.3 s each, at once but for the first.
func TestTheFirstAnswerOpensTheGate(t *testing.T) {
	for name, status := range map[string]int{"not found": 404, "broken": 500, "forbidden": 403, "good": 200} {
		synctest.Test(t, func(t *testing.T) {
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				time.Sleep(300 * time.Millisecond)
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			})
			begin := time.Now()
			for range askAll(t, transport, 24) {
			}
			if took := time.Since(begin); took != 600*time.Millisecond {
				t.Errorf("%s: %v, want two answers' time", name, took)
			}
		})
	}
}

// TestOneThatHangsHoldsNobody: the time of a question is its own, and nobody waits for the first one for ever.
func TestOneThatHangsHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/t0") {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			time.Sleep(300 * time.Millisecond)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
		begin := time.Now()
		failed := 0
		var good time.Duration
		for err := range askAll(t, transport, 8) {
			if err != nil {
				failed++
			} else {
				good = time.Since(begin)
			}
		}
		if failed > 1 || good > 3*time.Second {
			t.Errorf("%d questions fail, the last good one after %v", failed, good)
		}
	})
}

// askAll asks for n tags at once; t0 is the first. Errors come as questions are answered.
func askAll(t *testing.T, transport http.RoundTripper, n int) func(yield func(error) bool) {
	registry, err := oci.New(oci.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return transport }})
	if err != nil {
		t.Fatal(err)
	}
	repository := openAt(t, registry, "registry.example.com/org/app", importer.Access{})
	errs := make(chan error)
	for i := range n {
		go func() {
			_, err := repository.Head(t.Context(), importer.Ref{Tag: fmt.Sprintf("t%d", i)})
			errs <- err
		}()
		synctest.Wait()
	}
	return func(yield func(error) bool) {
		for range n {
			if !yield(<-errs) {
				return
			}
		}
	}
}
