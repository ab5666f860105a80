package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

const (
	// maxBody is what a review may have: an object and the one before it, each as large as an API server takes them.
	maxBody = 7 << 20
	// maxHeld is what all bodies have that are in memory. A review that finds no room is refused at once.
	maxHeld = 256 << 20
	// maxReviewed is what those have that are being reviewed: a body takes up to 60 times its size then. The others wait.
	maxReviewed = 8 << 20
	// maxImages is how many references an object may have, and maxPatch what a patch may.
	maxImages = 1000
	maxPatch  = 2 << 20
	// readTimeout is how long a client may take to send a review, and a review may wait. API servers wait 10 seconds by
	// default for all.
	readTimeout = 10 * time.Second
)

const reviewVersion, reviewKind = "admission.k8s.io/v1", "AdmissionReview"

// review is an AdmissionReview.
type review struct {
	imagestream.TypeMeta
	Request  *request  `json:"request,omitempty"`
	Response *response `json:"response,omitempty"`
}

type request struct {
	UID         string         `json:"uid"`
	Namespace   string         `json:"namespace"`
	Operation   string         `json:"operation"`
	SubResource string         `json:"subResource"`
	Object      map[string]any `json:"object"`
	OldObject   map[string]any `json:"oldObject"`

	read bool
}

// UnmarshalJSON implements json.Unmarshaler. A second request in a review would be mixed with the first.
func (asked *request) UnmarshalJSON(raw []byte) error {
	if asked.read {
		return errors.New("it has two requests")
	}
	asked.read = true
	type plain request
	return json.Unmarshal(raw, (*plain)(asked))
}

type response struct {
	UID       string              `json:"uid"`
	Allowed   bool                `json:"allowed"`
	PatchType string              `json:"patchType,omitempty"`
	Patch     []byte              `json:"patch,omitempty"` // base64 in JSON
	Status    *imagestream.Status `json:"status,omitempty"`
}

// httpError is a failure with the status that the client gets.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

func failure(code int, format string, args ...any) error {
	return &httpError{code, fmt.Sprintf(format, args...)}
}

// hook answers reviews.
type hook struct {
	// resolver returns what to review with: the image streams as they are now.
	resolver func() *lookup.Resolver
	// ready returns why no reviews should come; nil if they may.
	ready func() error

	held, reviewed *semaphore.Weighted
}

func newHook(resolver func() *lookup.Resolver, ready func() error) *hook {
	return &hook{resolver, ready, semaphore.NewWeighted(maxHeld), semaphore.NewWeighted(maxReviewed)}
}

// server returns the server that answers.
func (h *hook) server() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("POST /mutate", h)
	return &http.Server{
		Handler: mux, ReadTimeout: readTimeout, WriteTimeout: 3 * readTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 1 << 16,
	}
}

// ServeHTTP answers a review.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := &counted{from: http.MaxBytesReader(w, r.Body, maxBody), held: h.held}
	defer body.release()
	answer, err := h.answer(r, body)
	if err != nil {
		code := http.StatusInternalServerError
		if known, ok := errors.AsType[*httpError](err); ok {
			code = known.code
		}
		if code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

// answer reads a review and answers it, or fails with an [httpError].
func (h *hook) answer(r *http.Request, body io.Reader) ([]byte, error) {
	given := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(given); err != nil || media != "application/json" {
		return nil, failure(http.StatusUnsupportedMediaType, "content type %q: application/json is wanted", given)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, readFailure(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	size := int64(len(raw))
	if err := h.reviewed.Acquire(ctx, size); err != nil {
		return nil, failure(http.StatusServiceUnavailable, "too many reviews: this one waited for %v", readTimeout)
	}
	defer h.reviewed.Release(size)
	var asked review
	if err := json.Unmarshal(raw, &asked); err != nil {
		return nil, failure(http.StatusBadRequest, "read the review: %v", err)
	}
	if asked.APIVersion != reviewVersion || asked.Kind != reviewKind || asked.Request == nil {
		return nil, failure(http.StatusBadRequest,
			"the body is of kind %q, version %q: kind %s of %s with a request is wanted",
			asked.Kind, asked.APIVersion, reviewKind, reviewVersion)
	}
	answer := review{TypeMeta: asked.TypeMeta, Response: &response{UID: asked.Request.UID, Allowed: true}}
	if asked.Request.Operation == "CREATE" || asked.Request.Operation == "UPDATE" {
		err := asked.Request.review(ctx, h.resolver(), answer.Response)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, failure(http.StatusServiceUnavailable, "the review took longer than %v: %v", readTimeout, err)
		} else if err != nil {
			return nil, err
		}
	}
	return json.Marshal(answer)
}

// errNoRoom means that the bodies of other reviews fill the memory.
var errNoRoom = errors.New("too many reviews at once")

// readFailure returns the failure of a body that could not be read.
func readFailure(err error) error {
	large, isLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isLarge:
		return failure(http.StatusRequestEntityTooLarge, "the review has more than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure(http.StatusRequestTimeout, "the review did not come within %v", readTimeout)
	case errors.Is(err, errNoRoom):
		return failure(http.StatusServiceUnavailable, "%v", err)
	}
	return failure(http.StatusBadRequest, "read the review: %v", err)
}

// counted is a body that takes its share of the memory as it comes, so that who sends nothing takes nothing.
type counted struct {
	from io.Reader
	held *semaphore.Weighted
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if !c.held.TryAcquire(int64(n)) {
		return 0, errNoRoom
	}
	c.n += int64(n)
	return n, err
}

func (c *counted) release() { c.held.Release(c.n) }

// review decides about an object.
func (asked *request) review(ctx context.Context, resolver *lookup.Resolver, answer *response) error {
	references, err := lookup.References(asked.Object, nil, resolver.Options)
	if err == nil && len(references) > maxImages {
		answer.deny("the object has %d images: at most %d are looked up", len(references), maxImages)
		return nil
	}
	reviewed, err := resolver.Review(ctx, &lookup.Request{
		Namespace: asked.Namespace, Object: asked.Object, Old: asked.OldObject,
		Update: asked.Operation == "UPDATE", Subresource: asked.SubResource, Options: resolver.Options,
	})
	if err != nil {
		return err
	}
	if reviewed.Refused != nil {
		status := reviewed.Refused.Status()
		answer.Allowed, answer.Status = false, &status
		return nil
	}
	if len(reviewed.Changes) == 0 {
		return nil
	}
	patch, err := json.Marshal(lookup.PatchOf(reviewed.Changes))
	if len(patch) > maxPatch {
		answer.deny("the patch has %d bytes: at most %d are answered", len(patch), maxPatch)
		return err
	}
	answer.PatchType, answer.Patch = "JSONPatch", patch
	return err
}

// deny refuses an object that is too large.
func (r *response) deny(format string, args ...any) {
	r.Allowed = false
	r.Status = &imagestream.Status{
		Status: imagestream.StatusFailure, Reason: imagestream.ReasonTooLarge, Code: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf(format, args...),
	}
}
