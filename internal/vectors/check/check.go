package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

// A runner answers a case. It decodes its arguments with call.env and call.in, so that the check can see
// whether the library changed them.
type runner func(c *call) (any, error)

// call is one run of one case.
type call struct {
	vectors.Case
	decoded []decoded
}

type decoded struct {
	name string
	raw  json.RawMessage
	into any // a pointer
}

func (c *call) env(into any) error { return c.decode("env", c.Env, into) }
func (c *call) in(into any) error  { return c.decode("in", c.In, into) }

func (c *call) decode(name string, raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	c.decoded = append(c.decoded, decoded{name, raw, into})
	return nil
}

// changed names the arguments that are no longer what was decoded.
func (c *call) changed() []string {
	var names []string
	for _, d := range c.decoded {
		fresh := reflect.New(reflect.TypeOf(d.into).Elem())
		if err := json.Unmarshal(d.raw, fresh.Interface()); err != nil {
			names = append(names, err.Error())
		} else if !reflect.DeepEqual(fresh.Interface(), d.into) {
			names = append(names, d.name)
		}
	}
	return names
}

// maxDiffs is how many differences of one case are shown.
const maxDiffs = 8

// check runs c twice and returns what is wrong with the answers: a difference from what is wanted, a changed
// argument, a second answer with other bytes. The second run goes by another id and note, so that an answer
// that hangs on these shows.
func check(c vectors.Case, run runner) []string {
	first := &call{Case: c}
	got, err := answer(first, run)
	if err != nil {
		return []string{err.Error()}
	}
	problems, err := vectors.Match(c, got)
	if err != nil {
		return []string{err.Error()}
	}
	if len(problems) > maxDiffs {
		problems = append(problems[:maxDiffs], fmt.Sprintf("and %d more", len(problems)-maxDiffs))
	}
	for _, name := range first.changed() {
		problems = append(problems, "the arguments in "+name+" were changed")
	}
	renamed := c
	renamed.ID, renamed.Note = "another-id", "another note"
	again, err := answer(&call{Case: renamed}, run)
	if err != nil {
		return append(problems, "second run: "+err.Error())
	}
	if !bytes.Equal(got, again) {
		problems = append(problems, fmt.Sprintf("the second run, under another id, gave other bytes:\n%s\n%s", got, again))
	}
	return problems
}

func answer(c *call, run runner) (got []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	v, err := run(c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
