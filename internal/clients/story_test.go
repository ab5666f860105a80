package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

var update = flag.Bool("update", false, "write into the transcripts what comes out")

// programs is where make clients leaves oc and kubectl, and the server of examples/apiserver.
const programs = "../../.bin"

// story is the world of one transcript, with a server that real clients talk to.
type story struct {
	names
	registry *registryserver.Server
	world    *world
	config   *rest.Config
	dir      string // where commands are typed
	env      []string

	watch  *exec.Cmd     // what runs in the background
	out    *bufio.Reader // what it says on the standard output
	errors *bytes.Buffer // what it says on the standard error
}

func TestTranscripts(t *testing.T) {
	for _, program := range []string{"oc", "kubectl", "apiserver"} {
		if _, err := os.Stat(filepath.Join(programs, program)); err != nil {
			t.Fatalf("%s is not there, and \"make clients\" builds it: %v", program, err)
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, script := newStory(t), parseScript(string(text))
			if *update {
				defer func() {
					if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
						t.Error(err)
					}
				}()
			} else if script.String() != string(text) {
				t.Fatalf("%s is not as -update writes it:\n%s", file, cmp.Diff(script.String(), string(text)))
			}
			for i := range script.steps {
				s.step(ctx, t, &script.steps[i])
			}
		})
	}
}

// step does a step, and compares what comes out with what was wanted, which it becomes.
func (s *story) step(ctx context.Context, t *testing.T, step *step) {
	t.Helper()
	fail := func(err error) { t.Errorf("%s %s\n%v", step.prompt, step.command, err) }
	var got result
	var err error
	if step.prompt == "%" {
		got.stdout, err = s.word(ctx, strings.Fields(step.command))
	} else {
		got, err = s.typed(ctx, fail, s.expand(step.command))
	}
	if err != nil {
		fail(err)
		t.FailNow()
	}
	have := s.fold(got.lines())
	if have != step.want && !*update {
		fail(fmt.Errorf("%s", cmp.Diff(step.want, have)))
	}
	step.want = have
}

// typed runs what a person types, and compares it with what the library does and shows.
func (s *story) typed(ctx context.Context, fail func(error), typed string) (result, error) {
	var c command
	simple, ok := words(typed)
	if ok {
		c, ok = parse(simple)
	}
	var p *prediction
	if ok {
		var err error
		if p, err = s.predict(ctx, c); err != nil {
			return result{}, err
		}
	}
	got, err := s.sh(ctx, typed)
	if err == nil {
		err = s.world.settle(ctx)
	}
	if err != nil {
		return got, err
	}
	if p != nil {
		if err := s.check(ctx, p, got); err != nil {
			fail(err)
		}
	}
	if ok && got.exit == 0 {
		want, shown, err := s.look(ctx, c)
		if err != nil {
			return got, fmt.Errorf("what the library shows: %w", err)
		}
		if shown && s.fold(want) != s.fold(got.stdout) {
			fail(fmt.Errorf("package describe shows something else:\n%s", cmp.Diff(s.fold(want), s.fold(got.stdout))))
		}
	}
	return got, nil
}

// sh gives a command to the shell.
func (s *story) sh(ctx context.Context, typed string) (result, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.process(ctx, typed)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, err
}

func (s *story) process(ctx context.Context, typed string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", typed)
	cmd.Dir, cmd.Env = s.dir, s.env
	// The shell and what it starts are one group, and end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// word does a word of the world, and returns what it says:
//
//	push PATH:TAG NAME              push an image that is called so
//	push-list PATH:TAG NAME ARCH... push a list of images, one for each architecture
//	history [NAMESPACE/]STREAM:TAG  say what the tag pointed at, the newest first
//	wait [NAMESPACE/]STREAM:TAG NAME  wait until the tag points at that image
//	rounds STREAM NUMBER            wait until the stream was imported so many more times
//	watch COMMAND...                start a command that waits or watches
//	until WORD...                   wait until that command prints a line with these words, and say it
//	interrupt                       interrupt it
//	end                             wait until it ends well
//	resolve FILE FILE               let the rewriter make one manifest of another, and say its images
func (s *story) word(ctx context.Context, words []string) (string, error) {
	args := words[1:]
	switch {
	case words[0] == "push" && len(args) == 2:
		path, tag, _ := strings.Cut(args[0], ":")
		pushed, digest := contents(path, tag, args[1])
		s.images[args[1]] = digest.String()
		return "", s.registry.Push(ctx, pushed)
	case words[0] == "push-list" && len(args) > 2:
		path, tag, _ := strings.Cut(args[0], ":")
		var images []fakes.Image
		for _, arch := range args[2:] {
			images = append(images, fakes.Image{Architecture: arch, Layer: args[1]})
		}
		pushed := fakes.Contents{}
		s.images[args[1]] = pushed.PushList(path, images, tag).String()
		return "", s.registry.Push(ctx, pushed)
	case words[0] == "history" && len(args) == 1:
		return s.history(ctx, args[0])
	case words[0] == "wait" && len(args) == 2:
		return "", s.world.await(ctx, strings.Join(args, " is "), func() (bool, error) {
			said, err := s.history(ctx, args[0])
			return strings.HasPrefix(said+" ", "<"+args[1]+"> "), err
		})
	case words[0] == "rounds" && len(args) == 2:
		more, err := strconv.Atoi(args[1])
		if err != nil {
			return "", err
		}
		return "", s.world.rounds(ctx, imagestream.Key{Namespace: "default", Name: args[0]}, more)
	case words[0] == "watch" && len(args) > 0 && s.watch == nil:
		return "", s.begin(ctx, s.expand(strings.Join(args, " ")))
	case words[0] == "until" && len(args) > 0 && s.watch != nil:
		return s.until(s.expand(strings.Join(args, " ")))
	case words[0] == "interrupt" && s.watch != nil:
		return "", s.interrupt()
	case words[0] == "end" && s.watch != nil:
		return "", s.end()
	case words[0] == "resolve" && len(args) == 2:
		return s.resolve(ctx, args[0], args[1])
	}
	return "", fmt.Errorf("%q is not a word of the world", strings.Join(words, " "))
}

// history says which images a tag pointed at.
func (s *story) history(ctx context.Context, arg string) (string, error) {
	namespace, name, ok := strings.Cut(arg, "/")
	if !ok {
		namespace, name = "default", arg
	}
	images, err := s.world.history(ctx, namespace, name)
	if len(images) == 0 {
		images = []string{"nothing"}
	}
	return s.fold(strings.Join(images, " ")), err
}

func (s *story) begin(ctx context.Context, typed string) error {
	s.watch = s.process(ctx, "exec "+typed)
	s.errors = &bytes.Buffer{}
	s.watch.Stderr = s.errors
	out, err := s.watch.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewReader(out)
	return s.watch.Start()
}

func (s *story) until(text string) (string, error) {
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", errors.Join(fmt.Errorf("wait for a line with %q: %w", text, err), s.end())
		}
		if strings.Contains(line, text) {
			return line, nil
		}
	}
}

func (s *story) interrupt() error {
	if err := syscall.Kill(-s.watch.Process.Pid, syscall.SIGINT); err != nil {
		return err
	}
	err := s.end()
	var exit *exec.ExitError
	if errors.As(err, &exit) && s.errors.Len() == 0 {
		return nil
	}
	return err
}

// end waits for the end of what is watched. Whatever it says on the standard error is an error.
func (s *story) end() error {
	_, err := io.Copy(io.Discard, s.out)
	err = errors.Join(err, s.watch.Wait())
	s.watch = nil
	if s.errors.Len() > 0 {
		err = errors.Join(err, errors.New(s.errors.String()))
	}
	return err
}

// newStory starts a registry and a server, and writes what clients need to find it.
func newStory(t *testing.T) *story {
	t.Helper()
	registry, err := registryserver.Start(registryserver.Options{
		Dir: t.TempDir(), Auth: true, Users: map[string]string{user: password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	s := &story{registry: registry}
	if s.world, err = newWorld(registry, access.Authorizer()); err != nil {
		t.Fatal(err)
	}
	s.world.start(t)
	s.config = apiserver.TestServer{API: s.world.api, Access: access}.Start(t)
	s.config.BearerToken = access.Users[0].Token
	s.names = names{host: registry.Host, home: t.TempDir(), images: map[string]string{}}
	s.dir = filepath.Join(s.home, "files")
	if err := os.CopyFS(s.dir, os.DirFS("testdata/files")); err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: registry.CA.Raw})
	for name, text := range map[string]string{"ca.pem": string(ca), "mirrors.yaml": mirrorsYAML(registry.Host)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(s.home, "kubeconfig")
	if err := clientcmd.WriteToFile(kubeconfig(s.config), file); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(programs)
	if err != nil {
		t.Fatal(err)
	}
	s.env = []string{
		"PATH=" + path + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + s.home, "KUBECONFIG=" + file, "TZ=UTC",
		"LANG=C", "TMPDIR=" + s.home,
	}
	t.Cleanup(func() {
		if s.watch != nil {
			_ = s.interrupt() // the test has failed
		}
	})
	return s
}

// access is who may do what: admin everything, and alice everything in shop but to read what the other namespaces have.
var access = &apiserver.Access{
	Users: []apiserver.User{
		{Name: "admin", Token: "token-of-admin", Groups: []string{"system:masters"}},
		{Name: "alice", Token: "token-of-alice"},
	},
	Rules: []apiserver.Rule{
		{Users: []string{"alice"}, Namespaces: []string{"shop"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		{
			Users: []string{"alice"}, Namespaces: []string{"closed"}, Resources: []string{"imagestreams"},
			Verbs: []string{"get"},
		},
	},
}

// kubeconfig has a context for each user, the first of whom it is that types, and for somebody with a wrong token.
func kubeconfig(config *rest.Config) clientcmdapi.Config {
	const server = "test"
	file := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{server: {
			Server: config.Host, CertificateAuthorityData: config.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{}, Contexts: map[string]*clientcmdapi.Context{},
		CurrentContext: access.Users[0].Name,
	}
	for _, u := range append([]apiserver.User{{Name: "nobody", Token: "wrong"}}, access.Users...) {
		file.AuthInfos[u.Name] = &clientcmdapi.AuthInfo{Token: u.Token}
		file.Contexts[u.Name] = &clientcmdapi.Context{Cluster: server, AuthInfo: u.Name, Namespace: "default"}
	}
	return file
}
