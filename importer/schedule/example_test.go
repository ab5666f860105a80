package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// memory is the ledger of a single process, whose streams have one registry. A real one stores the records.
type memory struct {
	mu      sync.Mutex
	records map[imagestream.Key]schedule.Record
}

func (m *memory) record(stream imagestream.Key) schedule.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[stream]
}

func (m *memory) Recall(stream *imagestream.ImageStream, tag string) (schedule.TagState, bool) {
	return m.record(stream.Key()).Recall(stream, tag)
}

func (m *memory) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	due, others := m.record(turn.Stream).Divide(stream, turn, time.Now())
	finish := func(states map[string]schedule.TagState) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if states != nil {
			m.records[turn.Stream] = m.records[turn.Stream].With(stream, states)
		}
		return nil
	}
	return &schedule.Claim{Tags: due, Others: others, Context: ctx, Finish: finish}, nil
}

func ExampleLedger() {
	registry, store := &fakes.Registry{}, &fakes.Store{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	writer := &write.Engine{Store: store}
	app, err := writer.Create(context.Background(), streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"}))
	if err != nil {
		fmt.Println(err)
	}
	ledger := &memory{records: map[imagestream.Key]schedule.Record{}}
	ctx, stop := context.WithCancel(context.Background())
	loop := schedule.Loop{
		Importer: &importer.Importer{Registry: registry, Engine: writer}, Ledger: ledger, Drain: 10 * time.Second,
		Imported: func(imagestream.Key, *imagestream.ImageStreamImport, error) { stop() },
	}
	fmt.Println(loop.Run(ctx))
	state, _ := ledger.Recall(app, "v1")
	fmt.Println(state.Turns, state.Failures, time.Until(state.Due) > 14*time.Minute) // the next loop goes on there
	// Output:
	// context canceled
	// 1 0 true
}
