package importer

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Registry reads image registries. It does HTTP, TLS and tokens; rate limits, retries and caches wrap it.
//
// Implementations must be safe for concurrent use. They must bound what they read, follow few redirects, ask no
// internal address that a registry names, and send credentials only to the host that these are for. Every error that
// is not that of ctx is a *[RegistryError], whose texts are short, printable, and show no secret that was sent.
type Registry interface {
	// Repository returns a repository. It need not ask the registry, so that a repository that does not exist may be
	// found out later. Name has no tag and no digest, and has Docker's defaults: "docker.io/library/nodejs".
	Repository(ctx context.Context, name reference.Named, access Access) (Repository, error)
}

// Access says how to connect to a repository.
type Access struct {
	// Insecure allows TLS without a valid certificate, and plain HTTP where TLS cannot be had at all.
	Insecure bool
	// Credentials are the credentials to use. If it is nil, the Registry uses its own; the zero Credentials are
	// anonymous.
	Credentials *Credentials
}

// Credentials are the credentials for one registry or repository. They print as their kind, never as their content.
type Credentials struct {
	Username, Password string
	// IdentityToken is exchanged for an access token, as a user name and a password are.
	IdentityToken string
	// RegistryToken is an access token.
	RegistryToken string
}

// IsAnonymous reports whether c is empty.
func (c Credentials) IsAnonymous() bool { return c == Credentials{} }

// String returns the kind of c, and the user name if there is one.
func (c Credentials) String() string {
	switch {
	case c.RegistryToken != "":
		return "registry token"
	case c.IdentityToken != "":
		return "identity token"
	case c.Username != "":
		return "user " + c.Username
	}
	return "anonymous"
}

// MarshalText returns String, so that no log in JSON shows a secret.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// GoString returns String with the type, so that %#v does not show a secret.
func (c Credentials) GoString() string { return "importer.Credentials(" + c.String() + ")" }

// Repository reads one repository. The caller owns the bytes that it gets. Implementations must be safe for concurrent
// use.
type Repository interface {
	// Tags yields the names of all tags in the order of the registry, page by page. It ends with the first error. A
	// repository without tags yields nothing.
	Tags(ctx context.Context) iter.Seq2[string, error]
	// Head asks for digest, size and media type of a manifest. The digest is empty if the registry does not send it.
	// A registry that does not support HEAD is an error of class [ClassUnsupported].
	Head(ctx context.Context, ref Ref) (ManifestHead, error)
	// Manifest reads a manifest. If ref has a digest, the bytes must match it by manifest.Verify; otherwise the error
	// is of class [ClassInvalid]. For a tag the digest of the result is that of the bytes, whatever the registry
	// says.
	Manifest(ctx context.Context, ref Ref) (SentManifest, error)
	// Blob reads a blob. If it has more than limit bytes, or does not match the digest, the error is of class
	// [ClassInvalid].
	Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error)
	// BlobSize asks for the size of a blob in bytes.
	BlobSize(ctx context.Context, d digest.Digest) (int64, error)
}

// Ref names a manifest in a repository, by its digest if it has one, else by its tag.
type Ref struct {
	Tag    string
	Digest digest.Digest
}

// String returns the digest, or the tag.
func (r Ref) String() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// ManifestHead is what a registry says of a manifest.
type ManifestHead struct {
	MediaType string
	Digest    digest.Digest
	Size      int64
}

// SentManifest is a manifest as the registry sent it.
type SentManifest struct {
	// MediaType is the Content-Type, parameters included.
	MediaType string
	Digest    digest.Digest
	Bytes     []byte
}

// Operation is a request to a registry.
type Operation string

// The operations: the first contact, the request for an access token, and the methods of [Repository].
const (
	OperationPing     Operation = "ping"
	OperationToken    Operation = "token"
	OperationTags     Operation = "tags"
	OperationHead     Operation = "head"
	OperationManifest Operation = "manifest"
	OperationBlob     Operation = "blob"
	OperationBlobSize Operation = "blob size"
)

// Class is the kind of a [RegistryError].
type Class string

// The classes of a [RegistryError].
const (
	// ClassNotFound means that the registry does not have what was asked for.
	ClassNotFound Class = "not found"
	// ClassUnauthorized means that it requires credentials, or refused those that were sent.
	ClassUnauthorized Class = "unauthorized"
	// ClassForbidden means that it refuses the request of these credentials.
	ClassForbidden Class = "forbidden"
	// ClassTooManyRequests means that it must be asked later.
	ClassTooManyRequests Class = "too many requests"
	// ClassUnavailable means that it did not answer, or is out of order.
	ClassUnavailable Class = "unavailable"
	// ClassInvalid means that its answer is wrong, too large or cannot be read.
	ClassInvalid Class = "invalid"
	// ClassUnsupported means that it does not support the request.
	ClassUnsupported Class = "unsupported"
)

// RegistryError is the failure of a request to a registry.
type RegistryError struct {
	Operation Operation
	Class     Class
	// Repository is the repository that was asked, and Reference the tag or digest, or "".
	Repository, Reference string
	// StatusCode is that of the HTTP answer, or 0 if there was none.
	StatusCode int
	// Codes are the error codes of the answer, such as "MANIFEST_UNKNOWN". They are nil if it is not a registry's JSON.
	Codes []string
	// WrongPassword reports whether the answer says that the user name or the password is wrong.
	WrongPassword bool
	// Details is the member "details" of an answer in JSON without codes, as token servers send it.
	Details string
	// Text is the message of the answer, or the beginning of a plain one.
	Text string
	// Challenge is the scheme in which a 401 requires credentials, in lower case: "basic" or "bearer" as a rule, or ""
	// if it names none.
	Challenge string
	// RetryAfter is how long the registry asks to wait, or 0.
	RetryAfter time.Duration
	// Err is the cause if there is no answer, or none that can be used.
	Err error
}

// Error returns operation, name, answer and cause. The same failure has the same text, because conditions are compared
// by their texts.
func (e *RegistryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s", e.Operation, e.Repository)
	if e.Reference != "" {
		separator := ":"
		if strings.Contains(e.Reference, ":") {
			separator = "@"
		}
		b.WriteString(separator + e.Reference)
	}
	fmt.Fprintf(&b, ": %s", e.Class)
	if e.StatusCode != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.StatusCode)
	}
	for _, part := range []string{strings.Join(e.Codes, ", "), e.Details, e.Text} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// IsTemporary reports whether the same request may succeed soon, but not before RetryAfter: there were too many
// requests, or the registry did not answer.
func (e *RegistryError) IsTemporary() bool {
	return e.Class == ClassTooManyRequests || e.Class == ClassUnavailable
}

// Unwrap returns the cause.
func (e *RegistryError) Unwrap() error { return e.Err }
