package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Secrets are the secrets of a server that stands alone, where users put pull secrets as they do in a cluster:
//
//	oc create secret docker-registry quay --docker-server=quay.io --docker-username=... --docker-password=...
//
// Set [Config.Secrets] to serve them, [Secrets.List] for the verbs, and [Secrets.Finder] for the importer. They are kept
// in memory, and in a file if [OpenSecrets] has opened them. It is safe for concurrent use.
type Secrets struct {
	file string

	mu      sync.Mutex
	version uint64
	byKey   map[types.NamespacedName]*corev1.Secret
}

// maxSecret is how many bytes the values of a secret have at most, as in a cluster.
const maxSecret = corev1.MaxSecretSize

// maxSecrets is how many secrets there are at most.
const maxSecrets = 10_000

// OpenSecrets reads the secrets of a file, and keeps it up to date. The file need not exist yet; only its owner can read
// it. Nobody else may write it meanwhile.
func OpenSecrets(file string) (*Secrets, error) {
	s := &Secrets{file: file, byKey: map[types.NamespacedName]*corev1.Secret{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var list corev1.SecretList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s is not a list of secrets as JSON", file) // an error of the decoder may show one
	}
	s.version, _ = strconv.ParseUint(list.ResourceVersion, 10, 64)
	for i := range list.Items {
		secret := &list.Items[i]
		s.byKey[types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}] = secret
	}
	return s, nil
}

// List returns the secrets of a namespace, in the order of their names, for [rest.Server.Secrets].
func (s *Secrets) List(_ context.Context, namespace string) ([]rest.Secret, error) {
	var ours []rest.Secret
	for _, secret := range s.of(namespace) {
		ours = append(ours, rest.Secret{
			Metadata: imagestream.ObjectMeta{
				Name: secret.Name, Namespace: secret.Namespace, UID: string(secret.UID),
				ResourceVersion: secret.ResourceVersion, Annotations: secret.Annotations, Labels: secret.Labels,
				CreationTimestamp: tagevent.TimeOf(secret.CreationTimestamp.Time),
			},
			Type: string(secret.Type), Data: secret.Data,
		})
	}
	return ours, nil
}

// Finder returns the credentials in the pull secrets of a namespace, for [importer.Importer.Secrets]. What cannot be read
// is left out.
func (s *Secrets) Finder(_ context.Context, namespace string) (importer.CredentialFinder, error) {
	var configs []keyring.Config
	for _, secret := range s.of(namespace) {
		isPull := secret.Type == corev1.SecretTypeDockerConfigJson || secret.Type == corev1.SecretTypeDockercfg
		if !isPull || secret.Annotations[keyring.ExcludeAnnotation] == "true" {
			continue
		}
		config, err := keyring.Parse(string(secret.Type), secret.Data)
		if broken := (*keyring.EntryError)(nil); err == nil || errors.As(err, &broken) {
			configs = append(configs, config)
		}
	}
	return keyring.New(configs...), nil
}

// of returns the secrets of a namespace, none if it has no name.
func (s *Secrets) of(namespace string) []*corev1.Secret {
	if namespace == "" {
		return nil
	}
	return s.list(namespace)
}

// list returns the secrets of a namespace, of all if it is empty, ordered.
func (s *Secrets) list(namespace string) []*corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted(namespace)
}

func (s *Secrets) sorted(namespace string) []*corev1.Secret {
	var found []*corev1.Secret
	for key, secret := range s.byKey {
		if namespace == "" || key.Namespace == namespace {
			found = append(found, secret.DeepCopy())
		}
	}
	slices.SortFunc(found, func(a, b *corev1.Secret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// namespaces returns the namespace of every secret, in any order. Nil has none.
func (s *Secrets) namespaces() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for key := range s.byKey {
		names = append(names, key.Namespace)
	}
	return names
}

var (
	secretResource = corev1.Resource("secrets")
	errOldSecret   = errors.New("it has been modified: get it and try again")
)

func (s *Secrets) get(key types.NamespacedName) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret := s.byKey[key]; secret != nil {
		return secret.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(secretResource, key.Name)
}

// put stores a secret if what is stored has the version old; empty is that there is none.
func (s *Secrets) put(secret *corev1.Secret, old string, now time.Time) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}
	before := s.byKey[key]
	next := secret.DeepCopy()
	switch {
	case before == nil && old != "":
		return nil, apierrors.NewNotFound(secretResource, key.Name)
	case before == nil && len(s.byKey) >= maxSecrets:
		return nil, apierrors.NewForbidden(secretResource, key.Name, fmt.Errorf("there are %d secrets already", maxSecrets))
	case before == nil:
		next.UID, next.CreationTimestamp = types.UID(uuid.NewString()), metav1.NewTime(now.Truncate(time.Second))
	case old == "":
		return nil, apierrors.NewAlreadyExists(secretResource, key.Name)
	case old != before.ResourceVersion:
		return nil, apierrors.NewConflict(secretResource, key.Name, errOldSecret)
	default:
		next.UID, next.CreationTimestamp = before.UID, before.CreationTimestamp
	}
	next.ResourceVersion = strconv.FormatUint(s.version+1, 10)
	if err := s.change(key, next); err != nil {
		return nil, err
	}
	return next.DeepCopy(), nil
}

// remove deletes the secrets of a namespace, or one of them, if it has that version; empty is any.
func (s *Secrets) remove(namespace, name, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, secret := range s.byKey {
		if key.Namespace == namespace && (name == "" || key.Name == name) {
			if version != "" && secret.ResourceVersion != version {
				return apierrors.NewConflict(secretResource, key.Name, errOldSecret)
			}
			if err := s.change(key, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// change sets a secret, nil for none, in the file first.
func (s *Secrets) change(key types.NamespacedName, next *corev1.Secret) error {
	before := s.byKey[key]
	s.set(key, next)
	s.version++
	if err := s.save(); err != nil {
		s.set(key, before)
		return apierrors.NewInternalError(fmt.Errorf("keep the secrets: %w", err))
	}
	return nil
}

func (s *Secrets) set(key types.NamespacedName, secret *corev1.Secret) {
	if secret == nil {
		delete(s.byKey, key)
		return
	}
	if s.byKey == nil {
		s.byKey = map[types.NamespacedName]*corev1.Secret{}
	}
	s.byKey[key] = secret
}

func (s *Secrets) save() error {
	if s.file == "" {
		return nil
	}
	list := corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(s.version, 10)}}
	for _, secret := range s.sorted("") {
		list.Items = append(list.Items, *secret)
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return replaceFile(s.file, data)
}

// replaceFile writes a file that only its owner can read, whole or not at all. It follows links.
func replaceFile(file string, data []byte) (err error) {
	if info, err := os.Stat(file); err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file, and would be replaced by one: name another", file)
		}
		if file, err = filepath.EvalSymlinks(file); err != nil {
			return err
		}
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // with the mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.ReadFrom(bytes.NewReader(data))
	if err == nil {
		err = temporary.Sync()
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	return err
}
