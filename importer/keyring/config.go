package keyring

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/foreign"
)

// ExcludeAnnotation, if "true" on a secret, leaves it out of imports.
const ExcludeAnnotation = "openshift.io/image.excludeSecret"

// The types of pull secrets, and the members of their data that have the credentials.
const (
	TypeDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	TypeDockercfg        = "kubernetes.io/dockercfg"
	KeyDockerConfigJSON  = ".dockerconfigjson"
	KeyDockercfg         = ".dockercfg"
)

// maxConfig is how many bytes a configuration may have: as many as a secret.
const maxConfig = 1 << 20

// Config is a Docker configuration: the content of a secret of type dockerconfigjson, or of Docker's config.json.
type Config struct {
	Auths map[string]Entry `json:"auths"`
	// CredHelpers are the programs that keep credentials, by registry, and CredsStore is that for all others.
	CredHelpers map[string]string `json:"credHelpers,omitempty"`
	CredsStore  string            `json:"credsStore,omitempty"`
}

// String returns how much c has; locations may have secrets in them.
func (c Config) String() string { return fmt.Sprintf("credentials for %d locations", len(c.Auths)) }

// GoString keeps %#v from telling secrets.
func (c Config) GoString() string { return "keyring.Config(" + c.String() + ")" }

// Entry is what a configuration has for a location. It prints as what kind of credentials it has.
type Entry struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// Auth is user name and password joined by a colon, in base64. If it is there, it wins over both.
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`

	notRead bool // it is not an object of texts
}

// UnmarshalJSON reads an entry. One that is not an object of texts is kept as one that cannot be read.
func (e *Entry) UnmarshalJSON(data []byte) error {
	type plain Entry
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		p = plain{notRead: true}
	}
	*e = Entry(p)
	return nil
}

// String returns what kind of credentials e has.
func (e Entry) String() string {
	c, problem := e.credentials()
	if problem != "" {
		return "unreadable"
	}
	return c.String()
}

// GoString keeps %#v from telling secrets.
func (e Entry) GoString() string { return "keyring.Entry(" + e.String() + ")" }

// EntryError is an entry that cannot be read.
type EntryError struct {
	// Location is as the configuration has it, made fit to be shown.
	Location string
	// Problem tells what is wrong, without showing what is there.
	Problem string
}

// Error names the location and the problem.
func (e *EntryError) Error() string {
	return fmt.Sprintf("the credentials for %q cannot be read: %s", e.Location, e.Problem)
}

// maxShown is how many bytes of a location errors show.
const maxShown = 256

// shown returns a location as errors may show it: without the user and the password that somebody put into it.
func shown(written string) string {
	text := foreign.Text(written, maxShown)
	return text[strings.LastIndex(text, "@")+1:]
}

// ParseConfig reads Docker's config.json. No error tells what is in it.
//
// Entries that cannot be read, and that no other entry stands in for, are an error that matches [*EntryError]. The
// Config is then usable all the same: it finds what can be read.
func ParseConfig(text []byte) (Config, error) { return parse(text, func(c *Config) any { return c }) }

// Parse reads the content of a pull secret of a type, as [ParseConfig] does.
func Parse(secretType string, data map[string][]byte) (Config, error) {
	key, into := KeyDockerConfigJSON, func(c *Config) any { return c }
	switch secretType {
	case TypeDockerConfigJSON:
	case TypeDockercfg:
		key, into = KeyDockercfg, func(c *Config) any { return &c.Auths }
	default:
		return Config{}, fmt.Errorf("a secret of type %q is not a pull secret: %s and %s are",
			foreign.Text(secretType, maxShown), TypeDockerConfigJSON, TypeDockercfg)
	}
	text, ok := data[key]
	if !ok {
		return Config{}, fmt.Errorf("the pull secret has no %s", key)
	}
	c, err := parse(text, into)
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return c, err
}

func parse(text []byte, into func(*Config) any) (c Config, err error) {
	if len(text) > maxConfig {
		return Config{}, fmt.Errorf("the Docker configuration has more than %d bytes", maxConfig)
	}
	if json.Unmarshal(text, into(&c)) != nil {
		return Config{}, errors.New("the Docker configuration cannot be read as JSON")
	}
	return c, c.problems()
}

// problems returns the entries that cannot be read and have no other to stand in for them, as one error.
func (c Config) problems() error {
	ring := New(c)
	var all error
	named, looked := 0, 0
	for _, e := range ring.entries {
		if e.problem == nil {
			continue
		}
		if looked++; looked > maxLooked || named >= maxProblems {
			return fmt.Errorf("%w; there are more", cmp.Or(all, error(e.problem)))
		}
		if _, ok := ring.Credentials(e.name()); ok {
			continue
		}
		if named++; named == 1 {
			all = e.problem
		} else {
			all = fmt.Errorf("%w; %w", all, e.problem)
		}
	}
	return all
}

// maxProblems is how many entries an error names, and maxLooked how many are looked at for it.
const maxProblems, maxLooked = 8, 256

// entries are those of c, by name, without those that are empty.
func (c Config) entries() (all []located) {
	for _, written := range slices.Sorted(maps.Keys(c.Auths)) {
		credentials, problem := c.Auths[written].credentials()
		l, err := locationOf(written)
		if err != nil {
			problem = err.Error()
		}
		e := located{location: l, credentials: credentials}
		if problem != "" {
			e.problem = &EntryError{shown(written), problem}
		} else if credentials.IsAnonymous() {
			continue
		}
		all = append(all, e)
	}
	return all
}

// credentials returns what e says, and what is wrong with it.
func (e Entry) credentials() (c importer.Credentials, problem string) {
	if e.notRead {
		return c, "it must be an object whose members are texts"
	}
	c = importer.Credentials{
		Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken,
	}
	if auth := strings.TrimSpace(e.Auth); auth != "" {
		var err error
		if c.Username, c.Password, err = decodeAuth(auth); err != nil {
			return importer.Credentials{}, err.Error()
		}
	}
	return c, ""
}

// decodeAuth returns user name and password of an auth. The error does not show it.
func decodeAuth(auth string) (username, password string, err error) {
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(auth, "="))
	if err != nil {
		return "", "", errors.New(`auth must be "user:password" in base64`)
	}
	username, password, ok := strings.Cut(string(text), ":")
	if !ok {
		return "", "", errors.New(`auth must be "user:password" in base64: it has no colon`)
	}
	return username, strings.Trim(password, "\x00"), nil // Docker pads it
}
