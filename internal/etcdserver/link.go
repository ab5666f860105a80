package etcdserver

import (
	"io"
	"net"
	"sync"
)

// link carries connections to an address, and can be cut.
type link struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu    sync.Mutex
	whole *sync.Cond
	cut   bool
	done  bool
	open  map[net.Conn]bool
}

func newLink(to string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, to: to, open: map[net.Conn]bool{}}
	l.whole = sync.NewCond(&l.mu)
	l.all.Go(l.serve)
	return l, nil
}

// close ends all connections.
func (l *link) close() {
	l.listener.Close()
	l.mu.Lock()
	l.done = true
	for conn := range l.open {
		conn.Close()
	}
	l.whole.Broadcast()
	l.mu.Unlock()
	l.all.Wait()
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	l.whole.Broadcast()
}

// await waits while the link is cut, and reports whether it is still there.
func (l *link) await() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.cut && !l.done {
		l.whole.Wait()
	}
	return !l.done
}

func (l *link) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.all.Go(func() { l.carry(client) })
	}
}

// carry connects a client with the server, until one of them ends it.
func (l *link) carry(client net.Conn) {
	if !l.keep(client) {
		return
	}
	defer l.drop(client)
	if !l.await() {
		return
	}
	server, err := net.Dial("tcp", l.to)
	if err != nil || !l.keep(server) {
		return
	}
	defer l.drop(server)
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, client) })
	both.Go(func() { l.copy(client, server) })
	both.Wait()
}

// keep notes a connection that close ends, and reports whether the link is still there; if not it closes it.
func (l *link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		conn.Close()
		return false
	}
	l.open[conn] = true
	return true
}

func (l *link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	conn.Close()
}

// copy carries one direction; the end of it ends both.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !l.await() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil && err != io.EOF || n == 0 {
			return
		}
	}
}
