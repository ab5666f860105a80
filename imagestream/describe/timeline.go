package describe

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// The timeline's measures, in pixels.
const (
	timelineWidth  = 960
	timelineLabels = 180 // for the tags' names
	timelineEnd    = 24  // right of the newest events
	timelineHead   = 60
	timelineRow    = 24
	timelineBar    = 18
	timelineFoot   = 16
)

// Timeline draws the history of s up to the time now as an SVG: a row for each tag, in the order of
// [pullspec.PrioritizeTags], and in it a bar for each event, from when the tag began to point at an image until
// it pointed at the next one. The same image has the same colour everywhere, and its short name where there is
// room. A tag whose last import failed has a "!" behind its name.
//
// The picture needs nothing from outside, and has a title and a description in words. The error is that of w.
func Timeline(w io.Writer, s *imagestream.ImageStream, now time.Time) error {
	x := index(s)
	names := x.names()
	p := &picture{}
	p.body.WriteString(patternDefs)
	title := "History of image stream " + s.Key().String()
	p.text(16, 26, ` font-size="16" font-weight="bold"`, fit(title, (timelineWidth-32)*12/16))

	height := float64(timelineHead + len(names)*timelineRow + timelineFoot)
	scale := newScale(x, now)
	p.axis(scale, height-timelineFoot)
	painted := map[string]int{}
	var words []string
	for i, name := range names {
		y := float64(timelineHead + i*timelineRow)
		var history tagevent.History
		if h := x.status[name]; h != nil {
			history = *h
		}
		p.row(scale, y, name, history, painted)
		words = append(words, inWords(name, history, now))
	}
	if len(names) == 0 {
		words = append(words, "It has no tags.")
		p.text(16, timelineHead, "", "no tags")
	}
	return p.write(w, pictureID("timeline", s), title, strings.Join(words, " "), timelineWidth, height)
}

// scale maps times to pixels.
type scale struct {
	from, to imagestream.Time
}

func newScale(x stream, now time.Time) scale {
	to := tagevent.TimeOf(now)
	from := to
	for _, h := range x.status {
		for _, e := range h.Items {
			if !e.Created.IsZero() {
				from, to = min(from, e.Created), max(to, e.Created)
			}
		}
	}
	if from == to {
		from -= 60
	}
	return scale{from, to}
}

func (c scale) x(t imagestream.Time) float64 {
	t = min(max(t, c.from), c.to)
	const room = timelineWidth - timelineLabels - timelineEnd
	return timelineLabels + room*float64(t-c.from)/float64(c.to-c.from)
}

// steps are the distances that ticks may have, in seconds, and how a tick is written then.
var steps = [...]struct {
	seconds imagestream.Time
	layout  string
}{
	{
		1,
		"15:04:05",
	},
	{5, "15:04:05"},
	{15, "15:04:05"},
	{60, "15:04"},
	{5 * 60, "15:04"},
	{15 * 60, "15:04"},
	{3600, "Jan 2 15:04"},
	{6 * 3600, "Jan 2 15:04"},
	{24 * 3600, "2006-01-02"},
	{7 * 24 * 3600, "2006-01-02"},
	{30 * 24 * 3600, "2006-01-02"},
	{
		91 * 24 * 3600,
		"2006-01-02",
	},
	{365 * 24 * 3600, "2006-01-02"},
	{5 * 365 * 24 * 3600, "2006"},
	{50 * 365 * 24 * 3600, "2006"},
}

const maxTicks = 7

// axis draws a line at every tick.
func (p *picture) axis(c scale, bottom float64) {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if (c.to-c.from)/s.seconds <= maxTicks {
			step = s
			break
		}
	}
	first := (c.from + step.seconds - 1) / step.seconds * step.seconds
	for t := first; t <= c.to && (t-first)/step.seconds <= maxTicks; t += step.seconds {
		x := c.x(t)
		p.printf(
			`<line x1="%[1]s" y1="%[2]d" x2="%[1]s" y2="%[3]s" stroke="#d0d0d0"/>`+"\n",
			number(x),
			timelineHead-8,
			number(bottom),
		)
		p.text(x, timelineHead-14, ` text-anchor="middle" font-size="11" fill="#595959"`, t.Time().Format(step.layout))
	}
}

// row draws the history of one tag.
func (p *picture) row(c scale, y float64, name string, history tagevent.History, painted map[string]int) {
	label := fit(name, timelineLabels-24)
	if failure, ok := history.Condition(tagevent.ImportSuccess); ok && failure.Status == tagevent.ConditionFalse {
		label = fit(name, timelineLabels-40) + " !"
		p.printf(
			"<g><title>%s: import failed (%s): %s</title>\n",
			escape(name),
			escape(failure.Reason),
			escape(failure.Message),
		)
	} else {
		p.printf("<g><title>%s</title>\n", escape(name))
	}
	p.text(16, y+13, "", label)
	p.printf("</g>\n")
	end := c.to
	for _, e := range history.Items {
		p.bar(c.x(e.Created), c.x(end), y, name, e, painted)
		end = min(end, max(e.Created, c.from))
	}
}

// minBar is how wide a bar is at least, so that an event that was short can be seen.
const minBar = 3

func (p *picture) bar(from, to, y float64, tag string, e tagevent.Event, painted map[string]int) {
	key := e.Image
	if key == "" {
		key = e.DockerImageReference
	}
	n, ok := painted[key]
	if !ok {
		n = len(painted)
		painted[key] = n
	}
	s := styles[n%len(styles)]
	pattern := patternIDs[n/len(styles)%patterns]
	from = min(from, timelineWidth-timelineEnd-minBar)
	width := max(to-from, minBar)
	p.printf("<g><title>%s: %s, since %s</title>\n", escape(tag), escape(e.DockerImageReference), e.Created)
	shape := fmt.Sprintf(
		`<rect x="%s" y="%s" width="%s" height="%d" rx="2"`,
		number(from),
		number(y),
		number(width),
		timelineBar,
	)
	p.printf(`%s fill="%s" stroke="#ffffff"/>`+"\n", shape, s.fill)
	if pattern != "" {
		p.printf(`%s fill="url(#%s)"/>`+"\n", shape, pattern)
	}
	if label := imageName(e.Image, e.DockerImageReference); width > float64(Width(label)*charWidth+8) {
		p.text(from+5, y+13, fmt.Sprintf(` font-size="11" fill="%s"`, s.ink), label)
	}
	p.printf("</g>\n")
}

// inWords says what a row shows.
func inWords(name string, history tagevent.History, now time.Time) string {
	text := name + " points at nothing"
	if latest, ok := history.Latest(); ok {
		text = fmt.Sprintf(
			"%s points at %s since %s ago",
			name,
			imageName(latest.Image, latest.DockerImageReference),
			Age(now.Sub(latest.Created.Time())),
		)
		if n := len(history.Items) - 1; n > 0 {
			text += fmt.Sprintf(", and pointed at something else %d times before", n)
		}
	}
	if c, ok := history.Condition(tagevent.ImportSuccess); ok && c.Status == tagevent.ConditionFalse {
		text += "; its last import failed"
	}
	return text + "."
}
