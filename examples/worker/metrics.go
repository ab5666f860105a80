package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/distribution/reference"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// metrics are what a worker counts.
type metrics struct {
	registry                 *prometheus.Registry
	questions, storeFailures prometheus.Counter
	answers, imports         *prometheus.CounterVec
	turns, records           *prometheus.CounterVec
	underWay                 prometheus.Gauge
	took, late               prometheus.Histogram
}

func newMetrics() *metrics {
	const prefix = "imagestreams_worker_"
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: prefix + name, Help: help}
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		questions: prometheus.NewCounter(counter("questions_total", "Images that imports had to ask registries for.")),
		answers: prometheus.NewCounterVec(counter("answers_total", "Answers of registries about images, by the host and "+
			"the outcome: known, fetched, or the class of the failure."), []string{"host", "outcome"}),
		imports: prometheus.NewCounterVec(counter("imports_total", "Imports of image streams by their outcome: imported, "+
			"incomplete if some images were not, or failed."), []string{"outcome"}),
		turns: prometheus.NewCounterVec(counter("turns_total", "Turns of image streams at a registry that were asked for, "+
			"by the outcome: claimed, elsewhere if other workers have all tags, or failed."), []string{"outcome"}),
		records: prometheus.NewCounterVec(counter("records_total", "Claims that ended, by the outcome: recorded, given_back "+
			"if the import was not done, or failed."), []string{"outcome"}),
		storeFailures: prometheus.NewCounter(counter("store_failures_total", "Failures of the store, and of claims.")),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "imports_under_way",
			Help: "Claims that this worker has now."}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "import_seconds",
			Help: "How long claims were held.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 8)}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "late_seconds",
			Help: "How long after they were due tags were claimed.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 8)}),
	}
	m.registry.MustRegister(m.questions, m.answers, m.imports, m.turns, m.records, m.storeFailures, m.underWay, m.took,
		m.late, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// trace counts what imports ask.
func (m *metrics) trace() *importer.Trace {
	return &importer.Trace{
		Planned: func(questions int) { m.questions.Add(float64(questions)) },
		Answered: func(q importer.Question, a importer.Answer) {
			outcome := "fetched"
			var failure *importer.RegistryError
			switch {
			case errors.As(a.Err, &failure):
				outcome = string(failure.Class)
			case a.Err != nil:
				outcome = "failed"
			case a.Known:
				outcome = "known"
			}
			m.answers.WithLabelValues(reference.Domain(q.Repository), outcome).Inc()
		},
	}
}

// imported counts an import, and returns what is wrong with it.
func (m *metrics) imported(done *imagestream.ImageStreamImport, err error) error {
	outcome := "imported"
	if err != nil {
		outcome = "failed"
	} else if err = importer.Failure(done); err != nil {
		outcome = "incomplete"
	}
	m.imports.WithLabelValues(outcome).Inc()
	return err
}

// server serves the metrics, and how the worker is.
func (m *metrics) server(ctx context.Context, ready func() error) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := ready()
		if ctx.Err() != nil {
			err = errors.New("the worker is ending")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
}

// counted is a ledger that counts.
type counted struct {
	schedule.Ledger
	m *metrics
}

// Claim implements [schedule.Ledger].
func (c *counted) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	claim, err := c.Ledger.Claim(ctx, stream, turn)
	switch {
	case err != nil:
		c.m.turns.WithLabelValues("failed").Inc()
		return nil, err
	case len(claim.Tags) == 0:
		c.m.turns.WithLabelValues("elsewhere").Inc()
		return claim, nil
	}
	began := time.Now()
	c.m.turns.WithLabelValues("claimed").Inc()
	c.m.underWay.Inc()
	for _, tag := range claim.Tags {
		if state, ok := c.Recall(stream, tag); ok && !state.Due.IsZero() && state.Due.Before(began) {
			c.m.late.Observe(began.Sub(state.Due).Seconds())
		}
	}
	finish := claim.Finish
	claim.Finish = func(states map[string]schedule.TagState) error {
		err := finish(states)
		outcome := "recorded"
		switch {
		case states == nil:
			outcome = "given_back"
		case err != nil:
			outcome = "failed"
		}
		c.m.records.WithLabelValues(outcome).Inc()
		c.m.underWay.Dec()
		c.m.took.Observe(time.Since(began).Seconds())
		return err
	}
	return claim, nil
}
