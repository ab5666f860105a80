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

// Registry speaks to image registries. Rate limits, retries and caches wrap one; HTTP, TLS and tokens are its
// own.
//
// Implementations are safe for concurrent use. They bound what they read, follow few redirects, ask no internal address
// that a registry names, and send credentials to no other host than the one these are for. Every failure that is not
// ctx's is a *[RegistryError], whose texts are short, printable, and show no secret that was sent.
type Registry interface {
	// Repository returns the repository of that name, as access says. It may ask the registry, or leave that
	// to the first use; a repository that does not exist may show only then. Name has neither tag nor digest,
	// and Docker's defaults are filled in: "docker.io/library/nodejs".
	Repository(ctx context.Context, name reference.Named, access Access) (Repository, error)
}

// Access is how a repository is spoken to.
type Access struct {
	// Insecure allows TLS without a valid certificate, and plain HTTP where TLS cannot be had at all.
	Insecure bool
	// Credentials to use. Nil leaves it to the Registry, which may have some of its own; the zero Credentials
	// are anonymous.
	Credentials *Credentials
}

// Credentials of one registry or repository. They print as what kind they are, never as what they say.
type Credentials struct {
	Username, Password string
	// IdentityToken is changed for an access token, like a user's name and password.
	IdentityToken string
	// RegistryToken is an access token.
	RegistryToken string
}

// IsAnonymous reports whether c says nothing.
func (c Credentials) IsAnonymous() bool { return c == Credentials{} }

// String returns what kind of credentials c is.
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

// MarshalText keeps logs in JSON from telling secrets: it is String.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// GoString keeps %#v from telling them.
func (c Credentials) GoString() string { return "importer.Credentials(" + c.String() + ")" }

// Repository reads one repository.
//
// Bytes belong to the caller. Implementations are safe for concurrent use.
type Repository interface {
	// Tags yields the names of all tags, page by page as the registry sends them, in its order. It ends with
	// the first error. A repository without tags yields nothing.
	Tags(ctx context.Context) iter.Seq2[string, error]
	// Head asks what a manifest is without reading it. The digest is empty if the registry does not say. A
	// registry that does not answer such questions is an error of class [ClassUnsupported].
	Head(ctx context.Context, ref Ref) (ManifestHead, error)
	// Manifest reads a manifest: what the registry sent, with the media type it sent it as. If ref is a
	// digest, the bytes are those of that digest, as manifest.Verify has it, or the error is of class
	// [ClassInvalid]. By a tag nothing
	// is checked: the digest of the result is that of the bytes, whatever the registry says it is.
	Manifest(ctx context.Context, ref Ref) (SentManifest, error)
	// Blob reads a blob of at most limit bytes, whose bytes are those of the digest; otherwise the error is
	// of class ClassInvalid.
	Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error)
	// BlobSize asks how many bytes a blob has.
	BlobSize(ctx context.Context, d digest.Digest) (int64, error)
}

// Ref names a manifest of a repository, by its digest if there is one, else by its tag.
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

// Operation is what was being done when a registry failed.
type Operation string

// The operations: the first contact, fetching an access token, and the methods of [Repository].
const (
	OperationPing     Operation = "ping"
	OperationToken    Operation = "token"
	OperationTags     Operation = "tags"
	OperationHead     Operation = "head"
	OperationManifest Operation = "manifest"
	OperationBlob     Operation = "blob"
	OperationBlobSize Operation = "blob size"
)

// Class is what kind of failure a [RegistryError] is.
type Class string

// The classes of failure.
const (
	// ClassNotFound: the registry says that there is no such thing.
	ClassNotFound Class = "not found"
	// ClassUnauthorized: it wants credentials, or other ones.
	ClassUnauthorized Class = "unauthorized"
	// ClassForbidden: it knows who asks and says no.
	ClassForbidden Class = "forbidden"
	// ClassTooManyRequests: it wants to be asked later.
	ClassTooManyRequests Class = "too many requests"
	// ClassUnavailable: it did not answer, or only that it cannot.
	ClassUnavailable Class = "unavailable"
	// ClassInvalid: its answer is not to be believed, or not to be understood.
	ClassInvalid Class = "invalid"
	// ClassUnsupported: it does not do that.
	ClassUnsupported Class = "unsupported"
)

// RegistryError is a failure of a registry: what was asked and what really happened.
type RegistryError struct {
	Operation Operation
	Class     Class
	// Repository is the name that was asked for; Reference a tag or a digest in it, if one was.
	Repository, Reference string
	// StatusCode is that of the HTTP answer; 0 if there was none.
	StatusCode int
	// Codes are the error codes of an answer in the registry's JSON, "MANIFEST_UNKNOWN" for one. Nil if the
	// answer is not in that form.
	Codes []string
	// WrongPassword reports that the answer says that the user name or the password is wrong.
	WrongPassword bool
	// Details is the member of that name of an answer that is JSON without codes, as token servers send.
	Details string
	// Text is the message of the answer, or the beginning of a plain one.
	Text string
	// Challenge is the scheme, in lower case, by which a 401 wants credentials: "basic", "bearer" or another that there is;
	// empty if it does not say.
	Challenge string
	// RetryAfter is how long the registry asks to be left alone; 0 if it does not say.
	RetryAfter time.Duration
	// Err is the cause, where there was no answer or an unusable one.
	Err error
}

// Error tells operation, name, answer and cause, in the same words for the same failure: a condition compares
// it.
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

// IsTemporary reports whether it is worth asking again soon, after [RegistryError.RetryAfter] at the earliest: the registry had
// too many requests, or did not answer. What it refuses otherwise it goes on to refuse until somebody changes something.
func (e *RegistryError) IsTemporary() bool {
	return e.Class == ClassTooManyRequests || e.Class == ClassUnavailable
}

// Unwrap returns the cause.
func (e *RegistryError) Unwrap() error { return e.Err }
