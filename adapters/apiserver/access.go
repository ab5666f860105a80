package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Access is who may use a server that stands alone, and for what. As YAML:
//
//	users:
//	- name: alice
//	  tokenSHA256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
//	  groups: [developers]
//	rules:
//	- groups: [developers]
//	  namespaces: [shop]
//	  resources: ["*"]
//	  verbs: ["*"]
//	- groups: [developers]
//	  namespaces: [base]
//	  resources: [imagestreams, imagestreams/layers]
//	  verbs: [get]
//
// A user may do what one of the rules allows. Everybody who is known may look at what the API has (discovery, OpenAPI,
// versions) and at the server's health, and ask what they may do; nobody else may do anything. The group system:masters
// may do everything.
type Access struct {
	Users []User `json:"users"`
	Rules []Rule `json:"rules,omitempty"`
}

// User is somebody whom a server knows.
type User struct {
	Name string `json:"name"`
	// Token is what the user's requests carry. TokenSHA256 is its SHA-256 in hexadecimal digits, with which the file
	// has no secret. One of both must be set.
	Token       string   `json:"token,omitempty"`
	TokenSHA256 string   `json:"tokenSHA256,omitempty"`
	Groups      []string `json:"groups,omitempty"`
}

// Rule allows users, and the members of groups, verbs on resources in namespaces.
type Rule struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Namespaces are names, or "*" for all. What belongs to no namespace, and what asks for all at once, needs "*".
	Namespaces []string `json:"namespaces"`
	// Resources are those of the API, such as imagestreams or imagestreams/layers, or "*" for all.
	Resources []string `json:"resources"`
	// Verbs are get, list, watch, create, update, patch, delete and deletecollection, or "*" for all.
	Verbs []string `json:"verbs"`
}

// ReadAccess reads a file. It must have no fields that are not known, and no second document.
func ReadAccess(file string) (*Access, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	a := &Access{}
	text, err := document(data)
	if err == nil {
		err = yaml.UnmarshalStrict(text, a)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, withoutToken(text, err))
	}
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

// userFields are the fields of a [User].
var userFields = []string{"name", "token", "tokenSHA256", "groups"}

// withoutToken returns a decoder's error about a text, in other words where its own may show a token: what it takes for
// a field of a user, for an alias or for a value of another type may be one.
func withoutToken(text []byte, err error) error {
	switch own := err.Error(); {
	case strings.Contains(own, "unknown anchor"):
		return errors.New(`a value that begins with "*" stands in quotes`)
	case strings.Contains(own, "!!"):
		return errors.New(`write values without YAML's tags, such as "!!str"`)
	}
	var seen struct {
		Users []map[string]any `json:"users"`
	}
	if yaml.Unmarshal(text, &seen) != nil {
		return err
	}
	for i, u := range seen.Users {
		for field := range u {
			if !slices.Contains(userFields, field) {
				return fmt.Errorf(
					`users[%d] has a field that is none of %s: write a space behind ":", between a field and its value`,
					i, strings.Join(userFields, ", "))
			}
		}
	}
	return err
}

// document returns the only document of YAML that is not empty.
func document(data []byte) ([]byte, error) {
	var only []byte
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		next, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return only, nil
		}
		if err != nil {
			return nil, err
		}
		var content any
		if err := yaml.Unmarshal(next, &content); err == nil && content == nil {
			continue // comments
		}
		if only != nil {
			return nil, errors.New("it has a second document after ---, which would not be read: want one")
		}
		only = next
	}
}

// Validate returns the first thing that is wrong. It names no token.
func (a *Access) Validate() error {
	digests := map[string]string{}
	for i, u := range a.Users {
		digest, err := u.digest()
		switch {
		case u.Name == "":
			return fmt.Errorf("users[%d]: give the user a name", i)
		case err != nil:
			return fmt.Errorf("user %q: %w", u.Name, err)
		case digests[digest] != "":
			return fmt.Errorf("users %q and %q have the same token", digests[digest], u.Name)
		}
		digests[digest] = u.Name
	}
	for i, r := range a.Rules {
		for _, list := range []struct {
			field string
			empty bool
			hint  string
		}{
			{"users", len(r.Users)+len(r.Groups) == 0, "name the users or groups that it is for"},
			{"namespaces", len(r.Namespaces) == 0, `name the namespaces, or "*"`},
			{"resources", len(r.Resources) == 0, `name the resources, or "*"`},
			{"verbs", len(r.Verbs) == 0, `name the verbs, or "*"`},
		} {
			if list.empty {
				return fmt.Errorf("rules[%d].%s is empty: %s", i, list.field, list.hint)
			}
		}
	}
	return nil
}

// digest returns the SHA-256 of the user's token, as hexadecimal digits.
func (u User) digest() (string, error) {
	digest := strings.ToLower(u.TokenSHA256)
	switch {
	case u.Token == "" && digest == "":
		return "", fmt.Errorf("set token or tokenSHA256")
	case u.Token != "" && digest != "":
		return "", fmt.Errorf("set one of token and tokenSHA256, not both")
	case digest == "":
		return digestOf(u.Token), nil
	}
	if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("tokenSHA256 is not the 64 hexadecimal digits of a SHA-256")
	}
	return digest, nil
}

func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// authenticator knows the users by their tokens. Digests are compared, so that time tells nothing about tokens.
func (a *Access) authenticator() (authenticator.Request, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	users := map[string]*user.DefaultInfo{}
	for _, u := range a.Users {
		digest, err := u.digest()
		if err != nil {
			return nil, err
		}
		groups := append(slices.Clone(u.Groups), user.AllAuthenticated)
		users[digest] = &user.DefaultInfo{Name: u.Name, Groups: groups}
	}
	return bearertoken.New(authenticator.TokenFunc(
		func(_ context.Context, token string) (*authenticator.Response, bool, error) {
			known, ok := users[digestOf(token)]
			return &authenticator.Response{User: known}, ok, nil
		})), nil
}

// authorizer decides by the rules.
func (a *Access) authorizer() authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.allows(asked) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}

func (a *Access) allows(asked authorizer.Attributes) bool {
	who := asked.GetUser()
	if who == nil {
		return false
	}
	if slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return true
	}
	if !asked.IsResourceRequest() {
		return asked.GetVerb() == "get" && isPublic(asked.GetPath())
	}
	resource := asked.GetResource()
	if sub := asked.GetSubresource(); sub != "" {
		resource += "/" + sub
	}
	if resource == "selfsubjectaccessreviews" && asked.GetVerb() == "create" {
		return true
	}
	for _, r := range a.Rules {
		if r.isFor(who) && has(r.Verbs, asked.GetVerb()) && has(r.Resources, resource) &&
			has(r.Namespaces, asked.GetNamespace()) {
			return true
		}
	}
	return false
}

// isPublic says whether everybody who is known may read a path.
func isPublic(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return path == "/" || slices.Contains([]string{"api", "apis", "openapi", "version", "healthz", "livez", "readyz"}, first)
}

func (r *Rule) isFor(who user.Info) bool {
	if slices.Contains(r.Users, who.GetName()) {
		return true
	}
	return slices.ContainsFunc(who.GetGroups(), func(g string) bool { return slices.Contains(r.Groups, g) })
}

func has(list []string, name string) bool {
	return slices.Contains(list, "*") || name != "" && slices.Contains(list, name)
}

// Authorizer answers for the users of requests whether the rules let them get the layers of a stream. It is for the
// engine of the verbs that the server serves.
func (a *Access) Authorizer() imagestream.Authorizer {
	return layersAuthorizer(func() authorizer.UnconditionalAuthorizer { return a.authorizer() })
}
