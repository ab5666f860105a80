package inspect

import (
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// DifferenceType is what happened to a tag between two streams.
type DifferenceType string

// The differences: a tag that began to point at something, points at something else, no longer does; an
// import that began to fail, or fails otherwise; another condition.
const (
	TagAdded         DifferenceType = "added"
	TagMoved         DifferenceType = "moved"
	TagRemoved       DifferenceType = "removed"
	TagFailed        DifferenceType = "failed"
	ConditionChanged DifferenceType = "condition"
)

// Difference is one thing that happened to a tag.
type Difference struct {
	Type DifferenceType
	Tag  string
	// From and To are what the tag points at: none where it was added or removed.
	From, To tagevent.Event
	// Condition is the new one, with TagFailed and ConditionChanged; empty if it went away.
	Condition tagevent.Condition
}

// Diff lists what happened to the tags' images and conditions from one stream to a newer one, in name order;
// of one tag, the move comes before the condition. A tag moves when its image or pull spec changes; another
// generation alone is no difference.
func Diff(from, to *imagestream.ImageStream) []Difference {
	before, after := histories(from), histories(to)
	names := slices.Collect(maps.Keys(before))
	for tag := range after {
		if _, ok := before[tag]; !ok {
			names = append(names, tag)
		}
	}
	slices.Sort(names)
	var diffs []Difference
	for _, tag := range names {
		diffs = append(diffs, diffTag(tag, before[tag], after[tag])...)
	}
	return diffs
}

func histories(s *imagestream.ImageStream) map[string]tagevent.History {
	m := make(map[string]tagevent.History, len(s.Status.Tags))
	for _, h := range s.Status.Tags {
		m[h.Tag] = h
	}
	return m
}

func diffTag(tag string, before, after tagevent.History) (diffs []Difference) {
	was, had := before.Latest()
	is, has := after.Latest()
	d := Difference{Tag: tag, From: was, To: is}
	switch {
	case !had && has:
		d.Type = TagAdded
	case had && !has:
		d.Type = TagRemoved
	case was.Image != is.Image || was.DockerImageReference != is.DockerImageReference:
		d.Type = TagMoved
	}
	if d.Type != "" {
		diffs = append(diffs, d)
	}
	oldCondition, _ := before.Condition(tagevent.ImportSuccess)
	c, _ := after.Condition(tagevent.ImportSuccess)
	if c != oldCondition {
		d.Type, d.Condition = ConditionChanged, c
		if c.Status == tagevent.ConditionFalse {
			d.Type = TagFailed
		}
		diffs = append(diffs, d)
	}
	return diffs
}
