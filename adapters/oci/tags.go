package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/imagestreams/imagestreams/importer"
)

const (
	maxTag       = 128      // bytes of a tag
	maxList      = 16 << 20 // bytes of all pages of tags
	maxLink      = 8 << 10  // bytes of the link to the next page
	maxIdlePages = 8        // pages without a tag, besides one for each tag
)

func (r *repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		l := listing{
			repository: r, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{},
			q: question{op: importer.OperationTags, method: http.MethodGet, path: "tags/list", maxBytes: maxManifest},
		}
		for {
			tags, err := l.page(ctx)
			for _, tag := range tags {
				if !yield(tag, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
				return
			}
			if l.q.url == nil {
				return
			}
		}
	}
}

// listing is a list of tags of which some pages are read. What it remembers of pages are hashes.
type listing struct {
	*repository
	q                  question
	seed               maphash.Seed
	seen               map[uint64]struct{}
	pages, tags, bytes int
}

// page returns the tags of the next page, and moves on; after the last one the question has no URL. Tags that come with
// an error are good.
func (l *listing) page(ctx context.Context) ([]string, error) {
	answer, body, err := l.ask(ctx, l.q)
	if err != nil {
		return nil, err
	}
	var page struct{ Tags []string }
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, l.fail(l.q, importer.ClassInvalid, fmt.Errorf("the list of tags is not JSON: %w", err))
	}
	if page.Tags == nil && saysErrors(body) {
		return nil, l.refused(l.q, answer, "", body)
	}
	l.pages, l.tags, l.bytes = l.pages+1, l.tags+len(page.Tags), l.bytes+len(body)
	if err := l.check(page.Tags); err != nil {
		return nil, l.fail(l.q, importer.ClassInvalid, err)
	}
	if l.q.url, err = nextPage(answer); err == nil && l.q.url != nil {
		hash := maphash.String(l.seed, l.q.url.RequestURI())
		if _, again := l.seen[hash]; again {
			err = errors.New("the pages of tags go round in circles")
		}
		l.seen[hash] = struct{}{}
	}
	if err != nil {
		return page.Tags, l.fail(l.q, importer.ClassInvalid, err)
	}
	return page.Tags, nil
}

// check holds the bounds of a list.
func (l *listing) check(tags []string) error {
	switch {
	case l.tags > l.opts.MaxTags:
		return fmt.Errorf("it has more than %d tags", l.opts.MaxTags)
	case l.pages > l.tags+maxIdlePages:
		return fmt.Errorf("it has %d pages for %d tags", l.pages, l.tags)
	case l.bytes > maxList:
		return fmt.Errorf("its list of tags has more than %d bytes", maxList)
	}
	for _, tag := range tags {
		if len(tag) > maxTag {
			return fmt.Errorf("it lists a tag of %d bytes; a tag has at most %d", len(tag), maxTag)
		}
	}
	return nil
}

// nextPage returns path and query of the next page, as the links of an answer have it, nil if there is none. Scheme and
// host do not count: proxies get them wrong, and the next page is asked where this one was.
func nextPage(answer *http.Response) (*url.URL, error) {
	for _, value := range answer.Header.Values("Link") {
		for value != "" {
			var link string
			var isNext bool
			if link, isNext, value = cutLink(value); !isNext {
				continue
			}
			if len(link) > maxLink {
				return nil, fmt.Errorf("the link to the next page has %d bytes, and may have %d", len(link), maxLink)
			}
			next, err := answer.Request.URL.Parse(link)
			if err != nil || next.Opaque != "" || !strings.HasPrefix(next.Path, "/") {
				return nil, errors.New("the link to the next page is not a URL")
			}
			return &url.URL{Path: next.Path, RawPath: next.RawPath, RawQuery: next.RawQuery}, nil
		}
	}
	return nil, nil
}

// cutLink reads the first link of a header as RFC 8288 has it, and returns what is behind it.
func cutLink(value string) (link string, isNext bool, rest string) {
	_, value, ok := strings.Cut(value, "<")
	if !ok {
		return "", false, ""
	}
	link, value, ok = strings.Cut(value, ">")
	if !ok {
		return "", false, ""
	}
	p := parser{value}
	for first := true; ; {
		p.skip(" \t;")
		if p.rest == "" || p.rest[0] == ',' {
			return link, isNext, strings.TrimPrefix(p.rest, ",")
		}
		name := strings.ToLower(p.token())
		p.skip(" \t")
		before := p.rest
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			if before == "" || name == "" {
				return link, isNext, p.rest[min(len(p.rest), 1):]
			}
			continue
		}
		p.skip("= \t")
		if relation := p.linkValue(); name == "rel" && first {
			first = false // only the first counts
			for _, word := range strings.Fields(relation) {
				isNext = isNext || strings.EqualFold(word, "next")
			}
		}
	}
}

// linkValue is value, where semicolons end what is not quoted.
func (p *parser) linkValue() string {
	if strings.HasPrefix(p.rest, `"`) {
		return p.value()
	}
	return p.take(func(c byte) bool { return c != ',' && c != ';' && c != ' ' && c != '\t' })
}
