package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

const (
	// maxBody is what a review may have: an object and the one before it, each as large as an API server takes them.
	maxBody = 7 << 20
	// readTimeout is how long a client may take to send one. API servers wait 10 seconds by default for all.
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
}

type response struct {
	UID       string              `json:"uid"`
	Allowed   bool                `json:"allowed"`
	PatchType string              `json:"patchType,omitempty"`
	Patch     []byte              `json:"patch,omitempty"` // base64 in JSON
	Status    *imagestream.Status `json:"status,omitempty"`
}

// newServer returns a server that reviews with a resolver.
func newServer(resolver *lookup.Resolver) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("POST /mutate", func(w http.ResponseWriter, r *http.Request) {
		answer, code, err := mutate(w, r, resolver)
		if err != nil {
			http.Error(w, err.Error(), code)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	})
	return &http.Server{Handler: mux, ReadTimeout: readTimeout, WriteTimeout: 2 * readTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 16}
}

// mutate answers a review, or says with which HTTP status it fails.
func mutate(w http.ResponseWriter, r *http.Request, resolver *lookup.Resolver) ([]byte, int, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: application/json is wanted", r.Header.Get("Content-Type"))
	}
	var asked review
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&asked); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the review has more than %d bytes", large.Limit)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, http.StatusRequestTimeout, fmt.Errorf("the review did not come within %v", readTimeout)
		}
		return nil, http.StatusBadRequest, fmt.Errorf("read the review: %w", err)
	}
	if asked.APIVersion != reviewVersion || asked.Kind != reviewKind || asked.Request == nil {
		return nil, http.StatusBadRequest, fmt.Errorf("the body is a %s of %s: an %s of %s with a request is wanted", asked.Kind, asked.APIVersion, reviewKind, reviewVersion)
	}
	answer := review{TypeMeta: asked.TypeMeta, Response: &response{UID: asked.Request.UID, Allowed: true}}
	if asked.Request.Operation == "CREATE" || asked.Request.Operation == "UPDATE" {
		if err := asked.Request.review(r, resolver, answer.Response); err != nil {
			return nil, http.StatusInternalServerError, err
		}
	}
	text, err := json.Marshal(answer)
	return text, http.StatusInternalServerError, err
}

// review decides about an object.
func (asked *request) review(r *http.Request, resolver *lookup.Resolver, answer *response) error {
	reviewed, err := resolver.Review(r.Context(), &lookup.Request{
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
	if len(reviewed.Changes) > 0 {
		answer.PatchType = "JSONPatch"
		answer.Patch, err = json.Marshal(lookup.PatchOf(reviewed.Changes))
	}
	return err
}
