// Package etcdserver starts real etcd servers for tests: each member is a process of its own, which can be killed,
// stopped and cut off. The server is built by the module in bin, so that no test and no user depends on it.
package etcdserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/internal/etcdserver/process"
)

// patience is how long a member may take until it is ready.
const patience = 60 * time.Second

// Cluster is a cluster that runs until it is closed.
type Cluster struct {
	Members []*Member
	dir     string
}

// Member is a server of a [Cluster].
type Member struct {
	// Endpoint is the host and port at which clients reach the member, through a link that [Member.Cut] interrupts.
	Endpoint string

	scheme  string // in which it speaks to clients
	address string // of the server itself
	link    *link
	args    []string

	process *process.Process
	log     bytes.Buffer // of the process
}

// Start is [Launch] for a test, at whose end the cluster is closed.
func Start(tb testing.TB, n int, flags ...string) *Cluster {
	tb.Helper()
	c, err := Launch(n, flags...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Launch starts a cluster of n members. The further arguments are flags of etcd. Clients speak HTTP, or HTTPS if one
// of the flags is --cert-file=FILE.
func Launch(n int, flags ...string) (*Cluster, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		dir, err := os.MkdirTemp("", "etcd")
		if err != nil {
			return nil, err
		}
		c := &Cluster{dir: dir}
		if err = c.launch(n, flags); err == nil {
			return c, nil
		}
		c.Close()
		if !errors.Is(err, errAddressTaken) || attempt == attempts {
			return nil, err
		}
	}
}

// errAddressTaken means that somebody took an address that was free between the look and the use.
var errAddressTaken = errors.New("an address was taken")

func (c *Cluster) launch(n int, flags []string) error {
	scheme := "http"
	for _, flag := range flags {
		if strings.HasPrefix(flag, "--cert-file=") {
			scheme = "https"
		}
	}
	free, err := addresses(2 * n)
	if err != nil {
		return err
	}
	var cluster []string
	for i := range n {
		cluster = append(cluster, fmt.Sprintf("m%d=http://%s", i, free[n+i]))
	}
	for i := range n {
		m := &Member{scheme: scheme, address: free[i]}
		if m.link, err = newLink(m.address); err != nil {
			return err
		}
		m.Endpoint = m.link.listener.Addr().String()
		peer := "http://" + free[n+i]
		m.args = append([]string{
			"--name",
			fmt.Sprint("m", i),
			"--data-dir",
			filepath.Join(c.dir, fmt.Sprint("m", i)),
			"--unsafe-no-fsync",
			"--log-level",
			"warn",
			"--listen-peer-urls",
			peer,
			"--initial-advertise-peer-urls",
			peer,
			"--initial-cluster",
			strings.Join(cluster, ","),
			"--listen-client-urls",
			scheme + "://" + m.address,
			"--advertise-client-urls",
			scheme + "://" + m.Endpoint,
		}, flags...)
		c.Members = append(c.Members, m)
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range c.Members {
		if err := m.await(); err != nil {
			return err
		}
	}
	return nil
}

// Close kills all members, and removes what they stored.
func (c *Cluster) Close() {
	for _, m := range c.Members {
		m.Kill()
		m.link.close()
	}
	os.RemoveAll(c.dir)
}

// Endpoints returns the endpoints of all members.
func (c *Cluster) Endpoints() []string {
	var all []string
	for _, m := range c.Members {
		all = append(all, m.Endpoint)
	}
	return all
}

// binary builds etcd, and returns where it is.
var binary = sync.OnceValues(func() (string, error) { return process.Tool("go.etcd.io/etcd/server/v3") })

// Restart starts a member that was killed, with the data that it had.
func (m *Member) Restart() error {
	if err := m.start(); err != nil {
		return err
	}
	return m.await()
}

func (m *Member) start() error {
	etcd, err := binary()
	if err != nil {
		return err
	}
	m.log.Reset()
	cmd := exec.Command(etcd, m.args...)
	cmd.Stderr = &m.log
	m.process, err = process.Start(cmd)
	return err
}

// await waits until the member answers; what is asked then waits until its cluster has a leader.
func (m *Member) await() error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := m.answers()
		if err == nil {
			return nil
		}
		select {
		case <-m.process.Ended():
			if strings.Contains(m.log.String(), "address already in use") {
				err = errAddressTaken
			}
			return fmt.Errorf("etcd %s has ended: %w\n%s", strings.Join(m.args, " "), err, &m.log)
		default:
		}
		if time.Since(begin) > patience {
			m.Kill()
			return fmt.Errorf("etcd %s is not ready: %w\n%s", strings.Join(m.args, " "), err, &m.log)
		}
	}
}

// answers asks the member for its version, so that nobody else who has its address is taken for it. With TLS, which may
// ask for a certificate, it only connects.
func (m *Member) answers() error {
	if m.scheme == "https" {
		conn, err := net.Dial("tcp", m.address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + m.address + "/version")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && !bytes.Contains(body, []byte("etcdserver")) {
		err = fmt.Errorf("it answers %s", resp.Status)
	}
	return err
}

// Kill ends the member at once, as kill -9 does. A member that is killed already stays so.
func (m *Member) Kill() {
	if m.process == nil {
		return
	}
	m.process.Kill()
	m.process = nil
}

// Pause stops the member's process: it keeps its connections and answers nothing. Resume lets it go on.
func (m *Member) Pause() error { return m.process.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (m *Member) Resume() error { return m.process.Process.Signal(syscall.SIGCONT) }

// Cut holds back all that clients and the member send each other, as a network does that drops every packet.
func (m *Member) Cut() { m.link.set(true) }

// Mend undoes Cut: what was held back arrives.
func (m *Member) Mend() { m.link.set(false) }

// addresses returns n addresses that are free.
func addresses(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		free = append(free, l.Addr().String())
	}
	return free, nil
}
