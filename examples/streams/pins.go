package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// pinsOf returns the pins of a stream. Those that cannot be read are none: writing the stream says what is wrong.
func pinsOf(s *imagestream.ImageStream) map[string]imagestream.TagPin {
	pins, err := s.Pins()
	if err != nil {
		return nil
	}
	return pins
}

// pinned tells until when a tag is pinned.
func pinned(pin imagestream.TagPin, now time.Time) string {
	switch {
	case pin.Until.IsZero():
		return "for ever"
	case pin.Until <= tagevent.TimeOf(now):
		return "ended " + pin.Until.Time().UTC().Format(time.RFC3339)
	}
	return "until " + pin.Until.Time().UTC().Format(time.RFC3339)
}

// pinText tells where a tag is pinned, until when, why, and what the pin holds back.
func pinText(pin imagestream.TagPin, now time.Time) string {
	text := fmt.Sprintf("pinned to %s, %s", placeOf(pin.Event), pinned(pin, now))
	if pin.Reason != "" {
		text += ": " + pin.Reason
	}
	if pin.Held != nil {
		text += "; holds back " + placeOf(*pin.Held)
	}
	return text
}

// placeOf is the image of an event, or the pull spec if the image is not known.
func placeOf(e tagevent.Event) string {
	if e.Image != "" {
		return e.Image
	}
	return e.DockerImageReference
}

// printPins writes the pins of a stream, a line each.
func printPins(w io.Writer, s *imagestream.ImageStream, now time.Time) error {
	pins := pinsOf(s)
	if len(pins) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("\nPins:\n")
	for _, tag := range slices.Sorted(maps.Keys(pins)) {
		fmt.Fprintf(&text, "  %s is %s\n", tag, pinText(pins[tag], now))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printPin writes the pin of one tag, if it has one.
func printPin(w io.Writer, s *imagestream.ImageStream, tag string, now time.Time) error {
	pin, ok := pinsOf(s)[tag]
	if !ok {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s is %s\n", pullspec.JoinTag(s.Metadata.Name, tag), pinText(pin, now))
	return err
}

// warnHeldBack tells that pins hold back what was imported for tags; those that are not pinned are not told of.
func (a *app) warnHeldBack(s *imagestream.ImageStream, tags []string) {
	pins := pinsOf(s)
	for _, tag := range tags {
		if pin, ok := pins[tag]; ok && pin.Held != nil {
			name := pullspec.JoinTag(s.Metadata.Name, tag)
			fmt.Fprintf(a.errOut, "warning: %s is %s; 'streams unpin %s' lets it go there\n", name, pinText(pin, time.Now()),
				name)
		}
	}
}
