package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/internal/real"
)

// scheduleOps are the ops of the area schedule.
var scheduleOps = map[string]runner{
	"schedule.ops":      scheduleRing,
	"schedule.options":  scheduleSettings,
	"schedule.timeline": scheduleReplay,
}

func scheduleRing(c *call) (any, error) {
	var in struct {
		Buckets           int
		RemoveWhenHandled []string
		Events            []struct {
			Op, Key string
			Value   *string
		}
	}
	if err := c.in(&in); err != nil {
		return nil, err
	}
	ring := real.NewRing[string](in.Buckets)
	handle := func(items ...real.Item[string]) {
		for _, item := range items {
			if slices.Contains(in.RemoveWhenHandled, item.Key) {
				ring.RemoveIf(item.Key, item.Value)
			}
		}
	}
	results := make([]any, len(in.Events))
	for i, e := range in.Events {
		switch e.Op {
		case "add":
			ring.Add(e.Key, *e.Value)
		case "remove":
			results[i] = true
			if e.Value != nil {
				results[i] = ring.RemoveIf(e.Key, *e.Value)
			} else {
				ring.Remove(e.Key)
			}
		case "delay":
			ring.Delay(e.Key)
		case "tick":
			items := ring.Tick()
			handle(items...)
			results[i] = items
		case "next":
			if item, ok := ring.Next(); ok {
				handle(item)
				results[i] = item
			}
		case "len":
			results[i] = ring.Len()
		case "dump":
			results[i] = ring.Slots()
		default:
			return nil, fmt.Errorf("unknown event %q", e.Op)
		}
	}
	return map[string]any{"results": results, "content": ring.Items()}, nil
}

// times is how a schedule is written in the vectors.
type times struct {
	IntervalSeconds          float64
	BucketSize, MaxPerMinute int
}

func (t times) config() real.ScheduleConfig {
	return real.ScheduleConfig{
		Interval:     seconds(t.IntervalSeconds),
		BucketSize:   t.BucketSize,
		MaxPerMinute: t.MaxPerMinute,
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func scheduleSettings(c *call) (any, error) {
	var in times
	if err := c.in(&in); err != nil {
		return nil, err
	}
	s := in.config().Settings()
	want := map[string]any{
		"buckets":          s.Buckets,
		"slots":            s.Buckets + 1,
		"secondsPerBucket": math.Round(s.SlotTime.Seconds()*1000) / 1000,
	}
	if s.Burst == 0 {
		want["unlimited"] = true
	} else {
		want["burst"], want["importsPerMinute"] = s.Burst, math.Round(s.PerSecond*60)
	}
	return want, nil
}

func scheduleReplay(c *call) (any, error) {
	var in struct {
		times
		Until    float64
		Disabled bool
		Fail     map[string]int
		Events   []struct {
			At         float64
			Op, Stream string
			Scheduled  *bool
		}
	}
	if err := c.in(&in); err != nil {
		return nil, err
	}
	if in.Disabled {
		return map[string]any{}, nil
	}
	var events []real.Event
	for _, e := range in.Events {
		events = append(
			events,
			real.Event{At: seconds(e.At), Op: real.Op(e.Op), Stream: e.Stream, Unscheduled: e.Scheduled != nil && !*e.Scheduled},
		)
	}
	imports, left := real.Replay(in.config(), events, seconds(in.Until), nil)
	type written struct {
		At      float64  `json:"at"`
		Streams []string `json:"streams"`
	}
	list := []written{}
	for _, i := range imports {
		list = append(list, written{i.At.Seconds(), i.Streams})
	}
	return map[string]any{"imports": list, "left": left}, nil
}
