package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("WEBHOOK_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func shop(t *testing.T) *lookup.Resolver {
	t.Helper()
	source, err := streamfiles.Read("testdata/streams", "default")
	if err != nil {
		t.Fatal(err)
	}
	return &lookup.Resolver{Source: source}
}

func hookOf(resolver *lookup.Resolver) *hook {
	return newHook(func() *lookup.Resolver { return resolver }, func() error { return nil })
}

// start serves over TLS, as the program does.
func start(t *testing.T, resolver *lookup.Resolver) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = hookOf(resolver).server()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func post(t *testing.T, client *http.Client, url, contentType string, body io.Reader) (int, string) {
	t.Helper()
	answer, err := client.Post(url+"/mutate", contentType, body)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// readable writes an answer with its patch as JSON.
func readable(t *testing.T, text string) string {
	t.Helper()
	var answer review
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	patch := answer.Response.Patch
	answer.Response.Patch = nil
	rest, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(rest) + "\n" + strings.ReplaceAll(string(patch), "},{", "},\n{") + "\n"
}

func TestRecordedReviews(t *testing.T) {
	server := start(t, shop(t))
	files, _ := filepath.Glob("testdata/reviews/*.json")
	if len(files) < 7 {
		t.Fatalf("%d files in testdata/reviews", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			asked, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code, text := post(t, server.Client(), server.URL, "application/json; charset=utf-8", bytes.NewReader(asked))
			if code != http.StatusOK {
				t.Fatalf("%d %s", code, text)
			}
			golden := strings.TrimSuffix(file, ".json") + ".answer"
			got := readable(t, text)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != got {
				t.Errorf("got\n%s\nwant\n%s\n%v", got, want, err)
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	server := start(t, shop(t))
	asked, err := os.ReadFile("testdata/reviews/deployment-create.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		contentType string
		body        io.Reader
		code        int
		want        string
	}{
		"YAML": {"application/yaml", bytes.NewReader(asked), http.StatusUnsupportedMediaType,
			`content type "application/yaml": application/json is wanted`},
		"no type": {"", bytes.NewReader(asked), http.StatusUnsupportedMediaType,
			`content type "": application/json is wanted`},
		"oversized": {"application/json", strings.NewReader(`{"kind":"` + strings.Repeat("x", maxBody) + `"}`),
			http.StatusRequestEntityTooLarge, "the review has more than 7340032 bytes"},
		"no JSON": {"application/json", strings.NewReader("kind: AdmissionReview"), http.StatusBadRequest,
			"read the review: invalid character"},
		"cut": {"application/json", bytes.NewReader(asked[:len(asked)/2]), http.StatusBadRequest,
			"read the review: unexpected end of JSON input"},
		"old version": {"application/json",
			bytes.NewReader(bytes.Replace(asked, []byte("k8s.io/v1\""), []byte("k8s.io/v1beta1\""), 1)), http.StatusBadRequest,
			`the body is of kind "AdmissionReview", version "admission.k8s.io/v1beta1": kind AdmissionReview of admission.k8s.io/v1 with a request is wanted`},
		"no request": {"application/json",
			strings.NewReader(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`), http.StatusBadRequest,
			"with a request is wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := post(t, server.Client(), server.URL, test.contentType, test.body); code != test.code ||
				!strings.Contains(text, test.want) {
				t.Errorf("%d %s, want %d %s", code, text, test.code, test.want)
			}
		})
	}
	for path, want := range map[string]int{"/mutate": http.StatusMethodNotAllowed, "/": http.StatusNotFound,
		"/healthz": http.StatusOK, "/readyz": http.StatusOK} {
		answer, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("GET %s: %s", path, answer.Status)
		}
	}
	broken := start(t, &lookup.Resolver{Source: failing{}})
	if code, text := post(t, broken.Client(), broken.URL, "application/json",
		bytes.NewReader(asked)); code != http.StatusInternalServerError || !strings.Contains(text, "out of order") {
		t.Errorf("a failing source: %d %s", code, text)
	}
}

type failing struct{}

func (failing) GetImageStream(context.Context, imagestream.Key) (*imagestream.ImageStream, error) {
	return nil, errors.New("out of order")
}
func (failing) GetImage(context.Context, string) (*imagestream.Image, error) { return nil, nil }

// pipes is a listener in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClient stops in the middle of a review, and is given up at the time that the server says, by the clock of
// the test.
func TestSlowClient(t *testing.T) {
	pair, err := tls.X509KeyPair(testCertificate(t))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes, 1)
		server := hookOf(shop(t)).server()
		var served error
		done := make(chan struct{})
		go func() {
			served = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}}))
			close(done)
		}()
		here, there := net.Pipe()
		listener <- there
		client := tls.Client(here, &tls.Config{InsecureSkipVerify: true})
		begin := time.Now()
		fmt.Fprintf(client, "POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"kind\":")
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusRequestTimeout || !answer.Close || !strings.Contains(string(text), "within 10s") {
			t.Errorf("%s %s", answer.Status, text)
		}
		if took := time.Since(begin); took != readTimeout {
			t.Errorf("it took %v", took)
		}
		client.Close()
		server.Close()
		<-done
		if !errors.Is(served, http.ErrServerClosed) {
			t.Error(served)
		}
	})
}

// testCertificate makes a certificate for 127.0.0.1, in PEM.
func testCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "webhook"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// startProgram starts the program, and returns where it serves.
func startProgram(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "webhook: ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	return strings.TrimSuffix(url, "/mutate")
}

// TestProgram runs the program as a process of its own, asks it over TLS, and ends it.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	cert, key := testCertificate(t)
	policy := "kind: ImagePolicyConfig\napiVersion: image.openshift.io/v1\nexecutionRules:\n- {name: no-proxies, reject: true, onResources: [{group: apps, resource: deployments}], matchRegistries: [quay.io]}\n"
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key, "policy.yaml": []byte(policy)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-streams", "testdata/streams", "-cert", filepath.Join(dir, "cert.pem"), "-key",
		filepath.Join(dir, "key.pem"), "-addr", "127.0.0.1:0"}
	asked, err := os.ReadFile("testdata/reviews/deployment-create.json")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, test := range []struct {
		more []string
		want string
	}{
		{nil, `"patchType":"JSONPatch"`},
		{[]string{"-policy", filepath.Join(dir, "policy.yaml")}, `"allowed":false`},
	} {
		cmd := exec.Command(os.Args[0], append(args, test.more...)...)
		cmd.Env = append(os.Environ(), "WEBHOOK_MAIN=yes")
		url := startProgram(t, cmd)
		if code, text := post(t, client, url, "application/json", bytes.NewReader(asked)); code != http.StatusOK ||
			!strings.Contains(text, test.want) {
			t.Errorf("%v: %d %s", test.more, code, text)
		}
		client.CloseIdleConnections()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("resolveImage: Attempt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"": "-streams, -cert and -key are needed",
		"-streams testdata/reviews -cert x -key x":                                 "no image streams",
		"-streams testdata/streams -cert x -key x":                                 "stat x: no such file",
		"-streams testdata/streams -cert x -key x -policy " + dir:                  "is a directory",
		"-streams testdata/streams -cert x -key x more words":                      `["more" "words"]: only flags are wanted`,
		"-streams testdata/streams -cert x -key x -registry shop":                  `-registry "shop": a host is wanted`,
		"-streams testdata/streams -cert x -key x -reload 0s":                      "-reload 0s: a second or more is wanted",
		"-streams testdata/streams -cert x -key x -reload soon":                    "invalid value",
		"-streams nowhere -cert x -key x":                                          "nowhere",
		"-streams testdata/streams -cert x -key x -policy " + dir + "/policy.yaml": `unknown field "resolveImage"`,
	} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("webhook %s: %v, want %s", args, err, want)
		}
	}
}
