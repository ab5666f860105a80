package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	registry "k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// clients is how many send requests at a time.
const clients = 16

// benchStream returns a stream of 20 tags.
func benchStream(name string) *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i := range 20 {
		s.Spec.Tags = append(s.Spec.Tags, imagev1.TagReference{
			Name: fmt.Sprintf("v%d", i), Reference: true,
			From: &corev1.ObjectReference{Kind: "DockerImage", Name: fmt.Sprintf("quay.io/org/app:v%d", i)},
		})
	}
	return s
}

// trivial is a strategy without rules.
type trivial struct {
	apiruntime.ObjectTyper
	names.NameGenerator
}

func (trivial) NamespaceScoped() bool                                       { return true }
func (trivial) AllowCreateOnUpdate(context.Context) bool                    { return false }
func (trivial) AllowUnconditionalUpdate(context.Context) bool               { return false }
func (trivial) Canonicalize(apiruntime.Object)                              {}
func (trivial) PrepareForCreate(context.Context, apiruntime.Object)         {}
func (trivial) PrepareForUpdate(_ context.Context, _, _ apiruntime.Object)  {}
func (trivial) Validate(context.Context, apiruntime.Object) field.ErrorList { return nil }
func (trivial) ValidateUpdate(_ context.Context, _, _ apiruntime.Object) field.ErrorList {
	return nil
}
func (trivial) WarningsOnCreate(context.Context, apiruntime.Object) []string { return nil }
func (trivial) WarningsOnUpdate(_ context.Context, _, _ apiruntime.Object) []string {
	return nil
}

// genericServer serves the same type from k8s.io/apiserver's own storage in etcd, without any rule.
func genericServer(b *testing.B, endpoint string) *restclient.Config {
	options := genericoptions.NewEtcdOptions(
		storagebackend.NewDefaultConfig("/generic", codecs.LegacyCodec(imagev1.GroupVersion)))
	options.StorageConfig.Transport.ServerList = []string{"http://" + endpoint}
	options.SkipHealthEndpoints = true
	strategy := trivial{scheme, names.SimpleNameGenerator}
	store := &genericregistry.Store{
		NewFunc:                   func() apiruntime.Object { return &imagev1.ImageStream{} },
		NewListFunc:               func() apiruntime.Object { return &imagev1.ImageStreamList{} },
		DefaultQualifiedResource:  imagev1.Resource("imagestreams"),
		SingularQualifiedResource: imagev1.Resource("imagestream"),
		CreateStrategy:            strategy, UpdateStrategy: strategy, DeleteStrategy: strategy,
		TableConvertor: registry.NewDefaultTableConvertor(imagev1.Resource("imagestreams")),
	}
	c := NewConfig()
	if err := options.ApplyTo(&c.Generic.Config); err != nil {
		b.Fatal(err)
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: c.Generic.RESTOptionsGetter}); err != nil {
		b.Fatal(err)
	}
	return serveOnly(b, c, map[string]registry.Storage{"imagestreams": store})
}

// serveOnly serves some storages as a test server serves all.
func serveOnly(b *testing.B, c *Config, resources map[string]registry.Storage) *restclient.Config {
	own, err := testCertificate()
	if err != nil {
		b.Fatal(err)
	}
	pair, err := dynamiccertificates.NewStaticCertKeyContent("bench", own.cert, own.key)
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	access := &Access{Users: []User{{Name: "admin", Token: "admin", Groups: []string{"system:masters"}}}}
	if err := c.SetAccess(access); err != nil {
		b.Fatal(err)
	}
	client := &restclient.Config{
		Host: "https://" + listener.Addr().String(), BearerToken: "admin", QPS: -1,
		TLSClientConfig: restclient.TLSClientConfig{CAData: own.cert},
	}
	g := &c.Generic.Config
	g.ExternalAddress = listener.Addr().String()
	g.SecureServing = &genericserver.SecureServingInfo{Listener: listener, Cert: pair}
	g.LoopbackClientConfig = restclient.CopyConfig(client)
	server, err := c.Generic.Complete().New("generic", genericserver.NewEmptyDelegate())
	if err != nil {
		b.Fatal(err)
	}
	group := groupOf(imagev1.GroupVersion, resources)
	if err := server.InstallAPIGroup(&group); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.PrepareRun().RunWithContext(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return client
}

// benchServers runs a benchmark on each kind of server.
func benchServers(b *testing.B, run func(b *testing.B, client *restclient.Config)) {
	b.Run("memory", func(b *testing.B) { run(b, NewTestServer(b, rest.New(&fakes.Store{}, nil))) })
	endpoint := etcdserver.Start(b, 1, "--unsafe-no-fsync").Members[0].Endpoint
	b.Run("etcd", func(b *testing.B) {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { client.Close() })
		run(b, NewTestServer(b, rest.New(etcd.New(client, etcd.Options{Prefix: "/" + b.Name()}), nil)))
	})
	b.Run("generic-etcd", func(b *testing.B) { run(b, genericServer(b, endpoint)) })
}

func streamsOf(tb testing.TB, config *restclient.Config) typedv1.ImageStreamInterface {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return client.ImageV1().ImageStreams("shop")
}

// parallel runs b.N requests, spread over the clients, each of which has a connection of its own.
func parallel(b *testing.B, config *restclient.Config, request func(i int, streams typedv1.ImageStreamInterface) error) {
	var each []typedv1.ImageStreamInterface
	for i := range clients {
		own := restclient.CopyConfig(config)
		own.Dial = (&net.Dialer{}).DialContext // without it all share one connection
		streams := streamsOf(b, own)
		if err := request(i, streams); err != nil { // connected
			b.Fatal(err)
		}
		each = append(each, streams)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for i, streams := range each {
		all.Go(func() {
			for n := i; n < b.N; n += clients {
				if err := request(i, streams); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func BenchmarkGet(b *testing.B) {
	benchServers(b, func(b *testing.B, config *restclient.Config) {
		_, _ = streamsOf(b, config).Create(b.Context(), benchStream("app"), metav1.CreateOptions{})
		parallel(b, config, func(_ int, streams typedv1.ImageStreamInterface) error {
			_, err := streams.Get(b.Context(), "app", metav1.GetOptions{})
			return err
		})
	})
}

// BenchmarkUpdate has a stream for each client; a client sends what the update before returned, with a new label.
func BenchmarkUpdate(b *testing.B) {
	benchServers(b, func(b *testing.B, config *restclient.Config) {
		var last [clients]*imagev1.ImageStream
		for i := range last {
			var err error
			streams := streamsOf(b, config)
			name := fmt.Sprint("app", i)
			if last[i], err = streams.Create(b.Context(), benchStream(name), metav1.CreateOptions{}); err != nil {
				if last[i], err = streams.Get(b.Context(), name, metav1.GetOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		parallel(b, config, func(i int, streams typedv1.ImageStreamInterface) error {
			last[i].Labels = map[string]string{"n": last[i].ResourceVersion}
			next, err := streams.Update(b.Context(), last[i], metav1.UpdateOptions{})
			if err == nil {
				last[i] = next
			}
			return err
		})
	})
}

// BenchmarkWatch has 100 watchers; the latency is from when an update is sent to when a watcher has it.
func BenchmarkWatch(b *testing.B) {
	const watchers = 100
	config := NewTestServer(b, rest.New(&fakes.Store{}, nil))
	streams := streamsOf(b, config)
	last, err := streams.Create(b.Context(), benchStream("app"), metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var sent time.Time
	var took []time.Duration
	got := make(chan struct{}, watchers)
	for range watchers {
		client, err := versioned.NewForConfig(config)
		if err != nil {
			b.Fatal(err)
		}
		events, err := client.ImageV1().RESTClient().Get().Namespace("shop").Resource("imagestreams").
			Param("watch", "1").Param("resourceVersion", last.ResourceVersion).Stream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { events.Close() })
		go func() {
			for lines := bufio.NewScanner(events); lines.Scan(); { // decoding is the clients' time
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
				got <- struct{}{}
			}
		}()
	}
	b.ReportAllocs()
	for b.Loop() {
		last.Labels = map[string]string{"n": last.ResourceVersion}
		mu.Lock()
		sent = time.Now()
		mu.Unlock()
		if last, err = streams.Update(b.Context(), last, metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
		for range watchers {
			<-got
		}
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}

// BenchmarkStart is a server from nothing to its first answer, and its end.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		t := &oneTest{B: b}
		if _, err := streamsOf(b, NewTestServer(t, rest.New(&fakes.Store{}, nil))).
			List(b.Context(), metav1.ListOptions{}); err != nil {
			b.Fatal(err)
		}
		t.cleanup()
	}
}

// oneTest is a test that ends while the benchmark goes on.
type oneTest struct {
	*testing.B
	cleanup func()
}

func (t *oneTest) Cleanup(f func()) { t.cleanup = f }

// BenchmarkMemory tells what 10,000 streams take in memory, and a list of them.
func BenchmarkMemory(b *testing.B) {
	store := &fakes.Store{}
	used := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	config := NewTestServer(b, rest.New(store, nil))
	streams := streamsOf(b, config)
	before := used()
	for i := range 10_000 {
		s := benchStream(fmt.Sprint("app", i))
		ours := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: s.Name}}
		for _, tag := range s.Spec.Tags {
			ours.Spec.Tags = append(ours.Spec.Tags, imagestream.TagReference{
				Name: tag.Name, From: &imagestream.ObjectReference{Kind: tag.From.Kind, Name: tag.From.Name},
			})
		}
		if _, err := store.CreateImageStream(b.Context(), ours); err != nil {
			b.Fatal(err)
		}
	}
	held := used()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := streams.List(b.Context(), metav1.ListOptions{Limit: 500}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(held-before, "MB-kept")
	b.ReportMetric(used()-held, "MB-after")
}
