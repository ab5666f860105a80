package clients

import (
	"fmt"
	"regexp"
	"strings"
)

// script is a transcript:
//
//	# Text that explains.
//	% push docker.io/library/python:3.6.0 A      what happens in the world, in the words of story.word
//	$ oc tag docker.io/python:3.6.0 python:3.6   what a person types, given to sh
//	Tag python:3.6 set to docker.io/python:3.6.0.
//	$ oc tag nothing
//	2> error: the lines on the standard error
//	exit 1
//
// In commands and outputs <A> is the digest of the image A, and HOST the registry. In outputs SERVER is the server, and
// HOME the home directory; <age>, <time>, <digest>, <uid> and <number> are what differs each time.
type script struct {
	steps []step
	tail  string // text behind the last step
}

type step struct {
	text    string // what stands above it
	prompt  string // "$" or "%"
	command string
	want    string // the lines below it
}

func parseScript(text string) script {
	var s script
	var preamble, lines []string
	flush := func() {
		if len(s.steps) > 0 {
			s.steps[len(s.steps)-1].want = strings.TrimRight(strings.Join(lines, "\n"), "\n")
		}
		lines = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		prompt, command, isPrompt := strings.Cut(line, " ")
		switch {
		case isPrompt && (prompt == "$" || prompt == "%"):
			flush()
			s.steps = append(s.steps, step{text: strings.Join(preamble, "\n"), prompt: prompt, command: command})
			preamble = nil
		case strings.HasPrefix(line, "# ") || len(s.steps) == 0 || len(preamble) > 0:
			preamble = append(preamble, line)
		default:
			lines = append(lines, line)
		}
	}
	flush()
	s.tail = strings.Join(preamble, "\n")
	return s
}

func (s script) String() string {
	var b strings.Builder
	for i, step := range s.steps {
		if step.text != "" {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Trim(step.text, "\n") + "\n")
		}
		fmt.Fprintf(&b, "%s %s\n", step.prompt, step.command)
		if step.want != "" {
			b.WriteString(step.want + "\n")
		}
	}
	if s.tail != "" {
		b.WriteString("\n" + strings.Trim(s.tail, "\n") + "\n")
	}
	return b.String()
}

// result is what a command did.
type result struct {
	stdout, stderr string
	exit           int
}

// lines are the lines that a transcript has below the command.
func (r result) lines() string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(r.stdout, "\n"))
	for line := range strings.Lines(strings.TrimRight(r.stderr, "\n")) {
		b.WriteString("\n2> " + strings.TrimSuffix(line, "\n"))
	}
	if r.exit != 0 {
		fmt.Fprintf(&b, "\nexit %d", r.exit)
	}
	var out strings.Builder
	for line := range strings.Lines(strings.Trim(b.String(), "\n")) {
		out.WriteString(strings.TrimRight(line, " \t\n") + "\n")
	}
	return strings.TrimRight(out.String(), "\n")
}

// names are the words that stand for what is different each time.
type names struct {
	host, home string
	images     map[string]string // digests by name
}

// expand returns a command as it is typed.
func (n names) expand(command string) string {
	for name, digest := range n.images {
		command = strings.ReplaceAll(command, "<"+name+">", digest)
	}
	return strings.ReplaceAll(command, "HOST", n.host)
}

var variable = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "<digest>"},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "SERVER"},
	{regexp.MustCompile(`(dockerRepositoryCheck=)\S+`), "$1<time>"},
	{regexp.MustCompile(`\b(\d+ (second|minute|hour|day|week|month|year)s?|Less than a second|About an? \w+) ago`),
		"<age>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`(resourceVersion\\?"?: ?\\?")\d+`), "$1<number>"},
	{regexp.MustCompile(`(time: )"\S+"`), "$1<time>"},
	{regexp.MustCompile(`\b(LIVE|MERGED)-\d+`), "$1"},
	{regexp.MustCompile(`\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}`), "\t<time>"},
}

// fold returns an output as a transcript has it.
func (n names) fold(output string) string {
	for name, digest := range n.images {
		output = strings.ReplaceAll(output, digest, "<"+name+">")
	}
	output = strings.ReplaceAll(output, n.host, "HOST")
	output = strings.ReplaceAll(output, n.home, "HOME")
	for _, v := range variable {
		output = v.pattern.ReplaceAllString(output, v.word)
	}
	return output
}

// words are the words of a simple command; ok is false for what only a shell understands.
func words(command string) (_ []string, ok bool) {
	if strings.ContainsAny(command, `|<>;&"'\$*?`) {
		return nil, false
	}
	return strings.Fields(command), true
}
