// Package process runs programs beside a test, none of which outlives it.
package process

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Process is a program that runs until it ends by itself or is killed.
type Process struct {
	*exec.Cmd
	ended    chan struct{}
	watchdog io.WriteCloser
}

// Start starts a program. A test that dies takes it along: the input of a watchdog ends then, which kills the program.
func Start(cmd *exec.Cmd) (*Process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	watchdog := exec.Command("sh", "-c", fmt.Sprintf(`read line; [ -n "$line" ] || kill -9 %d`, cmd.Process.Pid))
	var err error
	if p.watchdog, err = watchdog.StdinPipe(); err == nil {
		err = watchdog.Start()
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("watch over %s: %w", cmd.Path, err)
	}
	go func() { _ = watchdog.Wait() }()
	return p, nil
}

// Ended is closed when the program has ended. Its ProcessState says how.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the program at once, as kill -9 does, and waits until it has ended.
func (p *Process) Kill() {
	if p.watchdog != nil {
		_, _ = io.WriteString(p.watchdog, "done\n")
		_ = p.watchdog.Close()
	}
	_ = p.Process.Kill()
	<-p.ended
}

// Tool builds the tool of that name, which the module in the folder bin beside the caller's file names, and returns where
// it is.
func Tool(name string) (string, error) {
	_, file, _, _ := runtime.Caller(1)
	cmd := exec.Command("go", "tool", "-n", name)
	cmd.Dir = filepath.Join(filepath.Dir(file), "bin")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}
