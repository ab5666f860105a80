package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/importer"
)

// doubt is for how long an authorization counts as good that is refused with 400 or 403 and cannot be replaced by a
// better one: it has not expired, it is not enough.
const doubt = time.Minute

// maxRealms is how many token servers of one answer are tried, until one may be asked.
const maxRealms = 3

// maxAuthorizations is how many one Registry remembers, one for each repository.
const maxAuthorizations = 1000

// authorization is what a repository is asked with.
type authorization struct {
	scheme, header string
	secrets        []string // that the header shows
	doubtedUntil   time.Time
}

// doubted returns a for the time of a doubt.
func (a *authorization) doubted() *authorization {
	b := *a
	b.doubtedUntil = time.Now().Add(doubt)
	return &b
}

// authorizations are those of repositories, by "https://host/path". They are bounded: the oldest goes.
type authorizations struct {
	mu    sync.Mutex
	byKey map[string]*authorization
	order []string
}

func (a *authorizations) get(key string) *authorization {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey[key]
}

func (a *authorizations) set(key string, to *authorization) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey == nil {
		a.byKey = map[string]*authorization{}
	}
	if a.byKey[key] == nil {
		a.order = append(a.order, key)
	}
	a.byKey[key] = to
	if len(a.order) > maxAuthorizations {
		delete(a.byKey, a.order[0])
		a.order = slices.Delete(a.order, 0, 1)
	}
}

// drop forgets an authorization, unless there is another one already.
func (a *authorizations) drop(key string, refused *authorization) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if refused != nil && a.byKey[key] == refused {
		delete(a.byKey, key)
		a.order = slices.DeleteFunc(a.order, func(k string) bool { return k == key })
	}
}

func (r *repository) key(base *url.URL) string { return base.String() + "/" + r.path }

// asked sends q with what there is to show, and again with something new if the registry refuses that. Scheme is the
// one that the registry wants credentials by, if the answer is still a 401.
func (r *repository) asked(
	ctx context.Context, q question, u *url.URL,
) (answer *http.Response, scheme string, err error) {
	key := r.key(q.base)
	used := r.tokens.get(key)
	answer, err = r.send(ctx, q, u, used)
	if err != nil || !refuses(q, answer, used) {
		return answer, "", err
	}
	challenged := answer
	if used != nil && (answer.StatusCode != http.StatusUnauthorized || len(challengesOf(answer.Header)) == 0) {
		// Some registries say that of an authorization that has expired. Without one they say what they want.
		if challenged, err = r.send(ctx, q, u, nil); err != nil {
			drain(answer.Body)
			return nil, "", err
		}
	}
	if challenged.StatusCode == http.StatusOK {
		drain(answer.Body)
		return challenged, "", nil
	}
	fresh, scheme, err := r.authorize(ctx, q, challenged, used)
	if challenged != answer {
		drain(challenged.Body)
	}
	switch {
	case err != nil:
		drain(answer.Body)
		return nil, "", err
	case fresh == nil && answer.StatusCode == http.StatusUnauthorized:
		r.tokens.drop(key, used)
		return answer, scheme, nil
	case fresh == nil:
		r.tokens.set(key, used.doubted())
		return answer, "", nil
	}
	drain(answer.Body)
	answer, err = r.send(ctx, q, u, fresh)
	switch {
	case err != nil || !refuses(q, answer, fresh):
	case answer.StatusCode == http.StatusUnauthorized:
		r.tokens.drop(key, fresh)
	default:
		r.tokens.set(key, fresh.doubted())
	}
	return answer, scheme, err
}

// refuses reports whether an answer means that the registry wants something else than what it was asked with. What
// another server says, which the registry led to, does not count.
func refuses(q question, answer *http.Response, used *authorization) bool {
	if !sameOrigin(answer.Request.URL, q.base) || used != nil && answer.Request.Header.Get("Authorization") == "" {
		return false
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest, http.StatusForbidden:
		return used != nil && time.Now().After(used.doubtedUntil)
	}
	return false
}

// authorize returns something new to ask with, as one of the challenges of an answer wants it: a token before a
// password. It is nil if there is nothing new to show, or the answer wants nothing. The errors are whole
// RegistryErrors, or ctx's.
func (r *repository) authorize(
	ctx context.Context, q question, answer *http.Response, used *authorization,
) (fresh *authorization, scheme string, err error) {
	if !refuses(q, answer, nil) {
		return nil, "", nil
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	defer func() { <-r.turn }()
	if other := r.tokens.get(r.key(q.base)); other != nil && other != used {
		return other, other.scheme, nil
	}
	challenges := challengesOf(answer.Header)
	bearer, basic := ofScheme(challenges, schemeBearer), ofScheme(challenges, schemeBasic)
	if len(bearer)+len(basic) == 0 {
		return nil, "", nil
	}
	c, err := r.credentials(ctx)
	if err != nil {
		f := r.failToken(q, importer.ClassUnauthorized, err)
		f.Challenge = ""
		return nil, "", f
	}
	if fresh, scheme, err = r.meet(ctx, q, bearer, basic, c); err != nil || fresh == nil {
		return nil, scheme, err
	}
	if used != nil && fresh.header == used.header {
		return nil, scheme, nil
	}
	r.tokens.set(r.key(q.base), fresh)
	return fresh, scheme, nil
}

func ofScheme(challenges []challenge, scheme string) (found []challenge) {
	for _, c := range challenges {
		if c.scheme == scheme {
			found = append(found, c)
		}
	}
	return found
}

// meet answers the first challenge that can be answered with c.
func (r *repository) meet(
	ctx context.Context, q question, bearer, basic []challenge, c importer.Credentials,
) (fresh *authorization, scheme string, err error) {
	var unusable error
	for _, one := range bearer[:min(len(bearer), maxRealms)] {
		token, err := r.token(ctx, q, one, c)
		var refused *refusedError
		switch {
		case err == nil:
			return &authorization{scheme: schemeBearer, header: "Bearer " + token, secrets: []string{token}}, schemeBearer, nil
		case !errors.As(err, &refused):
			return nil, schemeBearer, err
		}
		unusable = err
	}
	if len(basic) > 0 && (c.Username != "" || c.Password != "") {
		header, shows := basicHeader(c)
		return &authorization{scheme: schemeBasic, header: header, secrets: shows}, schemeBasic, nil
	}
	if unusable != nil {
		return nil, schemeBearer, r.failToken(q, importer.ClassInvalid, unusable)
	}
	f := r.fail(q, importer.ClassUnauthorized, errors.New("the registry wants a user name and a password"))
	f.StatusCode, f.Challenge = http.StatusUnauthorized, schemeBasic
	return nil, schemeBasic, f
}

// basicHeader returns the header that shows a user name and a password, and the secrets in it.
func basicHeader(c importer.Credentials) (header string, secrets []string) {
	pair := c.Username + ":" + c.Password
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), []string{c.Password, pair}
}

// credentials returns what there is for the repository.
func (r *repository) credentials(ctx context.Context) (c importer.Credentials, err error) {
	switch {
	case r.given != nil:
		c = *r.given
	case r.opts.Credentials != nil:
		if c, err = r.opts.Credentials(ctx, r.name); err != nil {
			return importer.Credentials{}, fmt.Errorf("credentials for %s: %w", r.name, err)
		}
	}
	r.secrets.add(c.Password, c.IdentityToken, c.RegistryToken)
	return c, nil
}
