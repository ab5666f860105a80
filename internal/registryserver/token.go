package registryserver

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

const (
	service    = "test registry"
	issuerName = "test issuer"
)

// issuer is a token server, as the distribution's token authentication wants it.
type issuer struct {
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	users map[string]string
}

// access is what a token allows.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// ServeHTTP gives whoever asks a token for what they may pull.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	if given && (i.users[user] == "" || i.users[user] != password) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"details":"incorrect username or password"}`)
		return
	}
	var allowed []access
	for _, scope := range r.URL.Query()["scope"] {
		kind, rest, _ := strings.Cut(scope, ":")
		name, actions, _ := strings.Cut(rest, ":")
		if kind == "repository" && strings.Contains(actions, "pull") && (given || !strings.HasPrefix(name, "private/")) {
			allowed = append(allowed, access{kind, name, []string{"pull"}})
		}
	}
	token, err := i.token(allowed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":%q}`, token)
}

// token returns a JSON web token, signed with ES256.
func (i *issuer) token(allowed []access) (string, error) {
	now := time.Now()
	part := func(v any) (string, error) {
		text, err := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text), err
	}
	head, err := part(map[string]any{"typ": "JWT", "alg": "ES256",
		"x5c": []string{base64.StdEncoding.EncodeToString(i.cert.Raw)}})
	if err != nil {
		return "", err
	}
	claims, err := part(map[string]any{
		"iss": issuerName, "sub": "", "aud": service, "jti": rand.Text(),
		"nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "access": allowed,
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(head + "." + claims))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := append(fixed(r), fixed(s)...)
	return head + "." + claims + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
