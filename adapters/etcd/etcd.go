// Package etcd is an imagestream.Store on etcd, for many writers in many processes.
//
//	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: tls, Username: user, Password: password})
//	store := etcd.New(client, etcd.Options{})
//
// The caller makes the client and closes it. TLS, users and timeouts are settings of the client. Set DialKeepAliveTime
// and DialKeepAliveTimeout to a few seconds: otherwise a watch notices only after minutes that the network drops its
// packets.
//
// # What it promises
//
// A write that returned is held by a majority of the members. Every write is one transaction that compares the version
// of the object, or that there is none. A get is one request, and sees every write that returned before it began. An
// error that is not of one of the classes that imagestream.Store names, such as a lost connection, leaves open
// whether the write was done; the next get tells. Writes are never repeated by the store or by the client.
//
// Resource versions are etcd's revisions: one sequence for the whole cluster, which goes on with the writes of other
// programs, too.
//
// All pages of a list show the revision of the first. A list that is older than the cluster's last compaction ends
// with an error of class imagestream.ErrGone. A list on one page reads in portions, and begins again if a compaction
// overtakes it.
//
// A watch goes on by itself when a connection or a leader is lost, from the last change that it reported. It ends
// with an error of class imagestream.ErrGone when etcd has compacted the changes that it has not reported yet, when
// its version is newer than the cluster (which was restored from a backup), and when its reader is slower than the
// writers by [Options.Backlog] bytes. The reader lists then, and watches from there. The cluster sends bookmarks to
// watches that have nothing to report, so that their versions do not become old.
//
// # Keys and values
//
// The key of an image stream is PREFIX "imagestreams/" NAMESPACE, a zero byte, and NAME; that of an image is PREFIX
// "images/" and NAME. So a list is in the order of namespaces and names, and a role of etcd can be given one
// namespace: the range from PREFIX "imagestreams/" NAMESPACE "\x00" to PREFIX "imagestreams/" NAMESPACE "\x01".
//
// A value is the JSON of image.openshift.io/v1 without resourceVersion, which is the revision. Its first member is
// metadata, whose first member is uid: a transaction can compare it there. Values that other programs wrote in
// another order are read as well; an update of such a value takes a second request. Leases are not used: nothing in
// the store expires.
//
// A value that has members which this program does not know, or another apiVersion, was written by a newer program.
// It is refused, with an error of class [ErrFormat], and so is a value that cannot be read at all. It is not changed,
// since writing it back would lose what it has. The unknown members of metadata are kept, as imagestream.ObjectMeta
// does. An update or a delete that names both the uid and the version of such a value is carried out: one transaction
// compares these two, and nothing looks at the rest. Whoever names them got them from another program, since this one
// does not read the value.
//
// # Limits
//
// A cluster takes requests of 1.5 MiB unless its --max-request-bytes says otherwise, and the client sends at most 2
// MiB unless MaxCallSendMsgSize of its configuration says otherwise. That is a stream of about 1,600 tags with three
// images each. A larger object is an error of class imagestream.ErrTooLarge. A cluster holds 2 GiB unless its
// --quota-backend-bytes says otherwise, old revisions included until they are compacted: run it with
// --auto-compaction-retention.
package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Options say where a store is, and what it may use. The zero value is a store under "/imagestreams/".
type Options struct {
	// Prefix is what all keys of the store begin with; "" is "/imagestreams/". A slash is added if it does not end with
	// one.
	Prefix string
	// Backlog is how many bytes of changes a watch holds for a reader that is slower than the writers; 0 is 64 MiB.
	Backlog int
}

// ErrFormat is the class of errors about values that this program cannot use.
var ErrFormat = errors.New("not a value that this program can use")

// Store is an [imagestream.Store] in etcd. It is safe for concurrent use, and so are several stores with the same
// prefix.
type Store struct {
	client  *clientv3.Client
	backlog int
	streams kind[imagestream.ImageStream]
	images  kind[imagestream.Image]
}

var _ imagestream.Store = (*Store)(nil)

const (
	defaultPrefix  = "/imagestreams/"
	defaultBacklog = 64 << 20
)

// New returns the store that a cluster has under a prefix. It sends nothing yet.
func New(client *clientv3.Client, opts Options) *Store {
	prefix := strings.TrimSuffix(cmp.Or(opts.Prefix, defaultPrefix), "/") + "/"
	s := &Store{client: client, backlog: opts.Backlog, streams: streamKind(prefix), images: imageKind(prefix)}
	if s.backlog <= 0 {
		s.backlog = defaultBacklog
	}
	return s
}

// failure returns the error of a request. The object of a write has size bytes; a list and a watch have no key.
func (k kind[T]) failure(ctx context.Context, key imagestream.Key, size int, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	switch code := codeOf(err); {
	case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrFutureRev):
		return k.fail(imagestream.ReasonExpired, imagestream.Key{}, "etcd has compacted that version: list again")
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf(
			"%s: etcd is full: compact and defragment it, or raise its --quota-backend-bytes, then disarm the alarm: %w",
			k.about(key),
			err,
		)
	case size > 0 && (errors.Is(err, rpctypes.ErrRequestTooLarge) || code == codes.ResourceExhausted && !errors.Is(err, rpctypes.ErrTooManyRequests)):
		return k.fail(
			imagestream.ReasonTooLarge,
			key,
			fmt.Sprintf("its JSON has %d bytes, more than this etcd takes (--max-request-bytes, 1.5 MiB "+
				"by default) or the client sends (MaxCallSendMsgSize, 2 MiB by default)", size),
		)
	case code == codes.PermissionDenied,
		strings.HasSuffix(err.Error(), rpctypes.ErrPermissionDenied.Error()): // watches have only the text
		return k.fail(imagestream.ReasonForbidden, key, "etcd does not allow it to the user of this client")
	case code == codes.Unauthenticated, errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrAuthFailed):
		return k.fail(imagestream.ReasonUnauthorized, key, "etcd does not accept the user or the password of this client")
	}
	return fmt.Errorf("%s: %w", k.about(key), err)
}

// codeOf returns the code of an error of the client.
func codeOf(err error) codes.Code {
	var etcd rpctypes.EtcdError
	if errors.As(err, &etcd) {
		return etcd.Code()
	}
	return status.Code(err)
}
