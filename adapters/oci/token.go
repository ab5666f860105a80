package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/importer"
)

const (
	maxToken  = 16 << 10 // bytes of a token
	maxScope  = 4 << 10  // bytes of what a challenge wants a token for, and of its service
	maxScopes = 8
)

// token returns the token that a challenge wants. The error is a refusedError if its realm may not be asked, else a
// whole RegistryError, or that of a context.
func (r *repository) token(ctx context.Context, q question, wanted challenge, c importer.Credentials) (string, error) {
	if c.RegistryToken != "" {
		return c.RegistryToken, nil // whatever the realm is, nobody asks it
	}
	realm, err := realmOf(q.base, wanted)
	if err != nil {
		return "", err
	}
	query := url.Values{"scope": r.scopes(wanted)}
	if service := wanted.params["service"]; service != "" && len(service) <= maxScope {
		query.Set("service", service)
	}
	ask := request{
		method: http.MethodGet, accept: "application/json",
		visit: visit{q.base, r.opts.TokenHosts, "Options.TokenHosts"},
	}
	switch {
	case c.IdentityToken != "":
		query.Set("scope", strings.Join(query["scope"], " "))
		query.Set("grant_type", "refresh_token")
		query.Set("client_id", "imagestreams")
		query.Set("refresh_token", c.IdentityToken)
		ask.method, ask.form = http.MethodPost, query.Encode()
	default:
		for name, values := range realm.Query() {
			if query[name] == nil {
				query[name] = values
			}
		}
		realm.RawQuery = query.Encode()
		if c.Username != "" || c.Password != "" {
			header, shows := basicHeader(c)
			r.secrets.add(shows...)
			ask.authorization = header
		}
	}
	answer, err := r.client.send(ctx, realm, ask)
	if err != nil {
		var refused *refusedError
		if errors.As(err, &refused) {
			return "", fmt.Errorf("the token server at %s: %w", realm.Host, err)
		}
		return "", r.failToken(q, classOf(err), err)
	}
	defer drain(answer.Body)
	return r.readToken(q, answer)
}

// realmOf returns where a challenge says that tokens are.
func realmOf(base *url.URL, wanted challenge) (*url.URL, error) {
	realm, err := url.Parse(wanted.params["realm"])
	switch {
	case err != nil || realm.Host == "":
		return nil, refuse("the realm of the challenge is not a URL: %q", wanted.params["realm"])
	case realm.Scheme == "http" && base.Scheme == "https":
		return nil, refuse("the token server at %s is on plain http, the registry on https", realm.Host)
	}
	realm.User, realm.Fragment = nil, ""
	return realm, nil
}

// scopes are what to ask a token for: what the challenge says, and to pull from the repository.
func (r *repository) scopes(wanted challenge) (scopes []string) {
	pull := "repository:" + r.path + ":pull"
	has := false
	if said := wanted.params["scope"]; len(said) <= maxScope {
		for _, scope := range strings.Fields(said) {
			actions, same := strings.CutPrefix(scope, "repository:"+r.path+":")
			has = has || same && slices.Contains(strings.Split(actions, ","), "pull")
			scopes = append(scopes, scope)
		}
	}
	scopes = scopes[:min(len(scopes), maxScopes)]
	if !has {
		scopes = append(scopes, pull)
	}
	return scopes
}

// readToken reads what a token server answers.
func (r *repository) readToken(q question, answer *http.Response) (string, error) {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	if err != nil {
		return "", r.failToken(q, importer.ClassUnavailable, fmt.Errorf("the token server's answer broke off: %w", err))
	}
	var said struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	jsonErr := json.Unmarshal(body, &said)
	token := said.Token
	if token == "" {
		token = said.AccessToken
	}
	switch {
	case answer.StatusCode != http.StatusOK || jsonErr == nil && token == "" && saysErrors(body):
		f := r.failToken(q, "", nil)
		f.Answered(answer.StatusCode, answer.Header, cut(body), time.Now(), r.secrets.all()...)
		return "", f
	case jsonErr != nil:
		err = errors.New("the token server's answer cannot be decoded: it is not JSON")
	case token == "":
		err = errors.New("the token server's answer has no token")
	case len(token) > maxToken:
		err = fmt.Errorf("the token has %d bytes, and may have %d", len(token), maxToken)
	case strings.ContainsFunc(token, func(c rune) bool { return c < ' ' || c >= 0x7f }):
		err = errors.New("the token has characters that no header may have")
	default:
		return token, nil
	}
	return "", r.failToken(q, importer.ClassInvalid, err)
}
