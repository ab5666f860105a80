package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

func reviewOf(operation, object, old string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","namespace":"shop","operation":"` + operation +
		`","object":` + object + `,"oldObject":` + old + `}}`
}

const smallPod = `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","image":"nodejs:20"}]}}`

// podOf is a Pod of many containers.
func podOf(n int) string {
	container := `{"name":"%d","image":"nodejs:20"},`
	var text strings.Builder
	text.WriteString(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[`)
	for i := range n {
		fmt.Fprintf(&text, container, i)
	}
	return strings.TrimSuffix(text.String(), ",") + "]}}"
}

func answerOf(t *testing.T, code int, text string) *response {
	t.Helper()
	var answer review
	if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("%d %.200s, %v", code, text, err)
	}
	return answer.Response
}

// TestExactlyOneReviewIsAnswered refuses what follows one, and two in one.
func TestExactlyOneReviewIsAnswered(t *testing.T) {
	server := start(t, shop(t))
	one := reviewOf("CREATE", smallPod, "null")
	twoRequests := strings.TrimSuffix(one, "}") + `,"request":{"uid":"2","object":{"kind":"Secret"}}}`
	otherCase := strings.TrimSuffix(one, "}") + `,"Request":{"uid":"2"}}`
	for name, test := range map[string]struct {
		body string
		code int
	}{
		"one": {one, 200}, "white space": {" " + one + "\n\t ", 200},
		"two": {one + one, 400}, "two lines": {one + "\n" + one, 400}, "text": {one + "x", 400}, "comma": {one + ",", 400},
		"null":         {one + "null", 400},
		"two requests": {twoRequests, 400}, "two requests in another case": {otherCase, 400},
		"a list": {"[" + one + "]", 400}, "nothing": {"", 400},
		"deep": {reviewOf("CREATE", strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_000), "null"), 400},
	} {
		code, text := post(t, server.Client(), server.URL, "application/json", strings.NewReader(test.body))
		if code != test.code || code == 400 && !strings.HasPrefix(text, "read the review: ") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
}

// TestObjectOfManyImagesIsDenied has bodies of 7 MB, of which one took 23 seconds and was answered with 68 MB.
func TestObjectOfManyImagesIsDenied(t *testing.T) {
	server := start(t, shop(t))
	most := podOf(maxImages)
	code, text := post(t, server.Client(), server.URL, "application/json",
		strings.NewReader(reviewOf("CREATE", most, "null")))
	if got := answerOf(t, code, text); !got.Allowed || len(got.Patch) == 0 {
		t.Errorf("%d images: %+v", maxImages, got.Status)
	}
	many := podOf(5_000)
	for name, body := range map[string]string{
		"one more":  reviewOf("CREATE", podOf(maxImages+1), "null"),
		"created":   reviewOf("CREATE", podOf(180_000), "null"),
		"updated":   reviewOf("UPDATE", many, many),
		"unchanged": reviewOf("UPDATE", podOf(maxImages+1), podOf(maxImages+1)),
	} {
		if len(body) > maxBody {
			t.Fatalf("%s: %d bytes", name, len(body))
		}
		code, text := post(t, server.Client(), server.URL, "application/json", strings.NewReader(body))
		got := answerOf(t, code, text)
		if got.Allowed || got.UID != "1" || got.Status.Code != 413 || got.Status.Reason != imagestream.ReasonTooLarge ||
			len(text) > 1000 {
			t.Errorf("%s: %.300s", name, text)
		}
		if !strings.Contains(got.Status.Message, "images: at most 1000 are looked up") {
			t.Errorf("%s: %s", name, got.Status.Message)
		}
	}
	deleted := reviewOf("DELETE", "null", many)
	code, text = post(t, server.Client(), server.URL, "application/json", strings.NewReader(deleted))
	if !answerOf(t, code, text).Allowed {
		t.Errorf("a deletion: %s", text)
	}
}

func TestPatchOfManyBytesIsDenied(t *testing.T) {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "nodejs"}}
	s.Spec.LookupPolicy.Local = true
	event := tagevent.Event{Image: strings.Repeat("x", 4096), DockerImageReference: "quay.io/org/nodejs"}
	s.Status.Tags = []tagevent.History{{Tag: "20", Items: []tagevent.Event{event}}}
	server := start(t, &lookup.Resolver{Source: lookup.Streams{s.Key(): s}})
	code, text := post(t, server.Client(), server.URL, "application/json",
		strings.NewReader(reviewOf("CREATE", podOf(maxImages), "null")))
	got := answerOf(t, code, text)
	if got.Allowed || got.Status.Code != 413 || !strings.Contains(got.Status.Message, "at most 2097152 are answered") ||
		len(text) > 1000 {
		t.Errorf("%.300s", text)
	}
}

// gate is a source that holds reviews until it is opened, and counts them.
type gate struct {
	lookup.Streams
	open      chan struct{}
	now, most atomic.Int64
}

func (g *gate) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	now := g.now.Add(1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	g.now.Add(-1)
	return g.Streams.GetImageStream(ctx, key)
}

// TestFewLargeReviewsAtATime has 32 at once, a thousandth of the largest, as is the room: one is reviewed at a time, and all are answered.
func TestFewLargeReviewsAtATime(t *testing.T) {
	large := strings.Replace(smallPod, `"spec"`, `"x":"`+strings.Repeat("x", 6_700)+`","spec"`, 1)
	body := []byte(reviewOf("CREATE", large, "null"))
	synctest.Test(t, func(t *testing.T) { // in which no review waits for long, however slow the machine
		g := &gate{Streams: shop(t).Source.(lookup.Streams), open: make(chan struct{})}
		h := hookOf(&lookup.Resolver{Source: g})
		h.reviewed = semaphore.NewWeighted(maxReviewed / 1000)
		server := h.server()
		answers := make(chan int, 32)
		for range 32 {
			go func() { answers <- ask(server, bytes.NewReader(body)).code }()
		}
		synctest.Wait()
		if g.now.Load() != 1 {
			t.Errorf("%d are being reviewed", g.now.Load())
		}
		close(g.open)
		for range 32 {
			if code := <-answers; code != http.StatusOK {
				t.Errorf("answered with %d", code)
			}
		}
		if most := g.most.Load(); most != 1 {
			t.Errorf("%d at a time", most)
		}
		if !h.held.TryAcquire(maxHeld) || !h.reviewed.TryAcquire(maxReviewed/1000) {
			t.Error("something is still held")
		}
	})
}

// answered is what a handler answers.
type answered struct {
	code   int
	header http.Header
	bytes.Buffer
}

func (a *answered) Header() http.Header  { return a.header }
func (a *answered) WriteHeader(code int) { a.code = code }

// ask asks a server without a connection.
func ask(server *http.Server, body io.Reader) *answered {
	r, err := http.NewRequest(http.MethodPost, "/mutate", body)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a := &answered{code: http.StatusOK, header: http.Header{}}
	server.Handler.ServeHTTP(a, r)
	return a
}

// TestReviewsThatWaitAreGivenUp by the clock of the test.
func TestReviewsThatWaitAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hookOf(shop(t))
		h.reviewed.TryAcquire(maxReviewed)
		begin := time.Now()
		a := ask(h.server(), strings.NewReader(reviewOf("CREATE", smallPod, "null")))
		if took := time.Since(begin); a.code != http.StatusServiceUnavailable || took != readTimeout ||
			a.header.Get("Retry-After") == "" {
			t.Errorf("%d %s after %v", a.code, a.String(), took)
		}
		h.reviewed.Release(maxReviewed)
		never := hookOf(&lookup.Resolver{Source: &gate{}})
		if a := ask(never.server(),
			strings.NewReader(reviewOf("CREATE", smallPod, "null"))); a.code != http.StatusServiceUnavailable {
			t.Errorf("a source that hangs: %d %s", a.code, a.String())
		}
		if a := ask(h.server(), strings.NewReader(reviewOf("CREATE", smallPod, "null"))); a.code != http.StatusOK {
			t.Errorf("%d %s", a.code, a.String())
		}
	})
}

// TestBodiesBeyondTheMemoryAreRefused at once; who sends nothing takes nothing.
func TestBodiesBeyondTheMemoryAreRefused(t *testing.T) {
	h := hookOf(shop(t))
	h.held.TryAcquire(maxHeld - 1000)
	server := h.server()
	if a := ask(server, strings.NewReader(reviewOf("CREATE", podOf(100),
		"null"))); a.code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.code, a.String())
	}
	silent, end := io.Pipe()
	done := make(chan int)
	go func() { done <- ask(server, silent).code }()
	if a := ask(server, strings.NewReader(reviewOf("CREATE", smallPod, "null"))); a.code != http.StatusOK {
		t.Errorf("beside a silent client: %d %s", a.code, a.String())
	}
	end.CloseWithError(errors.New("gone"))
	if code := <-done; code != http.StatusBadRequest {
		t.Errorf("the silent client: %d", code)
	}
	if !h.held.TryAcquire(1000) {
		t.Error("something is still held")
	}
}

// TestReadiness is refused with a reason, and lost when the server is told to end.
func TestReadiness(t *testing.T) {
	var reason error
	server := newHook(nil, func() error { return reason }).server()
	get := func(path string) *answered {
		r, _ := http.NewRequest(http.MethodGet, path, nil)
		a := &answered{code: http.StatusOK, header: http.Header{}}
		server.Handler.ServeHTTP(a, r)
		return a
	}
	if a := get("/readyz"); a.code != http.StatusOK {
		t.Errorf("%d %s", a.code, a.String())
	}
	reason = errors.New("the server is ending")
	if a := get("/readyz"); a.code != http.StatusServiceUnavailable || !strings.Contains(a.String(), "ending") {
		t.Errorf("%d %s", a.code, a.String())
	}
	if a := get("/healthz"); a.code != http.StatusOK {
		t.Errorf("it is alive, and says %d", a.code)
	}
}

func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplacedCertificateIsServedAtTheNextHandshake also between the writing of its files, and when it is damaged.
func TestReplacedCertificateIsServedAtTheNextHandshake(t *testing.T) {
	dir := t.TempDir()
	cert, key := testCertificate(t)
	write(t, dir, map[string][]byte{"cert.pem": cert, "key.pem": key})
	c, err := readCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want []byte) bool {
		pair, err := c.forHandshake(nil)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(want)
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots})
		return err == nil
	}
	other, otherKey := testCertificate(t)
	if !serves(cert) || serves(other) {
		t.Error("the first certificate is not served")
	}
	write(t, dir, map[string][]byte{"cert.pem": other})
	if !serves(cert) {
		t.Error("a certificate without its key is served")
	}
	write(t, dir, map[string][]byte{"key.pem": otherKey})
	if !serves(other) {
		t.Error("the second certificate is not served")
	}
	write(t, dir, map[string][]byte{"cert.pem": []byte("damaged")})
	if !serves(other) {
		t.Error("a damaged file ends the serving")
	}
	os.Remove(filepath.Join(dir, "cert.pem"))
	if !serves(other) {
		t.Error("a file that is gone ends the serving")
	}
	if err := c.expired(time.Now()); err != nil {
		t.Error(err)
	}
	if err := c.expired(time.Now().Add(2 * time.Hour)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

const stream = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: %s, namespace: shop}\n"

// TestStreamsAreReadAgainWhenTheirFilesChange by the clock of the test.
func TestStreamsAreReadAgainWhenTheirFilesChange(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"a.yaml": fmt.Appendf(nil, stream, "a")})
	synctest.Test(t, func(t *testing.T) {
		s, err := readStreams(dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		done := make(chan struct{})
		go func() {
			s.watch(ctx, 10*time.Second, func(text string) { told = append(told, text) })
			close(done)
		}()
		step := func(names ...string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			for _, name := range names {
				if s.now()[imagestream.Key{Namespace: "shop", Name: name}] == nil {
					t.Errorf("%s is not there", name)
				}
			}
			if len(s.now()) != len(names) {
				t.Errorf("%d image streams, want %v", len(s.now()), names)
			}
		}
		step("a")
		write(t, dir, map[string][]byte{"b.yaml": fmt.Appendf(nil, stream, "b")})
		step("a", "b")
		write(t, dir, map[string][]byte{"b.yaml": []byte("{")})
		step("a", "b")
		step("a", "b")
		write(t, dir, map[string][]byte{"b.yaml": fmt.Appendf(nil, stream, "longer")})
		step("a", "longer")
		os.Remove(filepath.Join(dir, "a.yaml"))
		step("longer")
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		step("longer")
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		step("longer")
		cancel()
		<-done
		if len(told) != 5 || told[0] != "2 image streams read again" ||
			!strings.Contains(told[1], "stay as they were: read") || !strings.Contains(told[4], "no such file") {
			t.Errorf("told %q", told)
		}
	})
}

// TestProgramUnderLoad runs the program as a process of its own: 32 reviews of 6.7 MB at once, made to take much
// when they are read, a directory of streams and a certificate that are replaced meanwhile.
func TestProgramUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	dir := t.TempDir()
	cert, key := testCertificate(t)
	write(t, dir, map[string][]byte{"cert.pem": cert, "key.pem": key})
	cmd := exec.Command(os.Args[0], "-streams", "testdata/streams", "-cert", filepath.Join(dir, "cert.pem"), "-key",
		filepath.Join(dir, "key.pem"), "-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "WEBHOOK_MAIN=yes")
	url := startProgram(t, cmd)
	other, otherKey := testCertificate(t)
	write(t, dir, map[string][]byte{"cert.pem": other, "key.pem": otherKey})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(other)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	object := strings.Replace(smallPod, `"spec"`, `"x":[`+strings.Repeat(`{"":0},`, 950_000)+`0],"spec"`, 1)
	body := []byte(reviewOf("CREATE", object, "null"))
	var group sync.WaitGroup
	var answers [32]int // 0 where the time of the machine was too short for an answer
	for i := range answers {
		group.Go(func() {
			if answer, err := client.Post(url+"/mutate", "application/json", bytes.NewReader(body)); err == nil {
				answer.Body.Close()
				answers[i] = answer.StatusCode
			}
		})
	}
	group.Wait()
	if !slices.Contains(answers[:], http.StatusOK) || slices.ContainsFunc(answers[:], func(code int) bool {
		return !slices.Contains([]int{0, http.StatusOK, http.StatusServiceUnavailable, http.StatusRequestTimeout}, code)
	}) {
		t.Errorf("answered %d", answers)
	}
	answer, err := client.Get(url + "/readyz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", answer, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err == nil {
		peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
		kb, _ := strconv.Atoi(string(peak[1]))
		t.Logf("32 reviews of %d bytes at once: at most %d MB", len(body), kb>>10)
		bound := 1 << 20
		if underRace {
			bound *= 4
		}
		if kb > bound {
			t.Errorf("%d kB, more than %d", kb, bound)
		}
	}
	client.CloseIdleConnections()
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestRulesThatAskForWhatIsNotKnownAreTold names them.
func TestRulesThatAskForWhatIsNotKnownAreTold(t *testing.T) {
	policy, errs := lookup.NewPolicy(&lookup.Config{ExecutionRules: []lookup.ExecutionRule{
		{Name: "a"}, {Name: "b", MatchDockerImageLabels: []lookup.ValueCondition{{Key: "x"}}},
		{Name: "c", MatchImageLabels: []imagestream.LabelSelector{{}}},
		{Name: "d", MatchImageAnnotations: []lookup.ValueCondition{{Key: "x"}}},
	}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := fmt.Sprint(blind(policy)); got != "[b c]" {
		t.Error(got)
	}
}
