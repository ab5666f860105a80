package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// refusedError is a URL that a registry named and that is not asked.
type refusedError struct {
	why      string
	internal bool // because of its address, which an option could allow
}

func (e *refusedError) Error() string { return e.why }

func refuse(format string, args ...any) error {
	return &refusedError{why: fmt.Sprintf(format, args...)}
}

// internal are the addresses, besides those that netip knows, that are nobody's on the internet.
var internal = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers, and the metadata of Alibaba Cloud
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/32"), // Teredo has an IPv4 address in it, in a form that is not worth reading
	netip.MustParsePrefix("fec0::/10"),
}

// carriers are prefixes of IPv6 that have an IPv4 address in them, from that byte on.
var carriers = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"): 12,
	netip.MustParsePrefix("::/96"):        12,
	netip.MustParsePrefix("2002::/16"):    2,
}

// isInternal reports whether an address is one of this machine or of a network of somebody's own.
func isInternal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return true
	}
	for _, prefix := range internal {
		if prefix.Contains(a) {
			return true
		}
	}
	for prefix, at := range carriers {
		if prefix.Contains(a) {
			b := a.As16()
			return isInternal(netip.AddrFrom4([4]byte(b[at : at+4])))
		}
	}
	return false
}

// visit says what URLs a request may lead to.
type visit struct {
	registry *url.URL // whose own host is always allowed
	allowed  []string // hosts, with a port or without, that are
	option   string   // that allows them
}

// explain adds to an error which option could allow what is refused.
func (v visit) explain(err error) error {
	var refused *refusedError
	if errors.As(err, &refused) && refused.internal {
		return fmt.Errorf("%w (%s can allow it)", err, v.option)
	}
	return err
}

// check returns a refusedError if u may not be asked, and otherwise whether its address is to be checked, too.
func (v visit) check(u *url.URL) (guarded bool, err error) {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return false, refuse("it is neither https nor http")
	case u.Hostname() == "":
		return false, refuse("it has no host")
	case strings.EqualFold(u.Hostname(), v.registry.Hostname()) || v.allows(u):
		return false, nil
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && isInternal(a) {
		return false, &refusedError{u.Host + " is an internal address", true}
	}
	return true, nil
}

func (v visit) allows(u *url.URL) bool {
	for _, host := range v.allowed {
		if strings.EqualFold(host, u.Hostname()) || strings.EqualFold(host, hostPort(u)) {
			return true
		}
	}
	return false
}

// hostPort returns the host of u with its port, which its scheme may imply.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// sameOrigin reports whether a and b are the same server, which gets the same credentials.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

type guardedKey struct{}

// withGuard lets the address of a request be checked when it is dialled.
func withGuard(ctx context.Context) context.Context {
	return context.WithValue(ctx, guardedKey{}, true)
}

// guard sends requests whose address is to be checked over connections of their own, all of which were checked. One
// that goes through a proxy is not dialled here.
type guard struct{ plain, checked *http.Transport }

// newGuard returns a guard of transports like t.
func newGuard(t *http.Transport) guard {
	checked := t.Clone()
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: checkAddress}
	checked.DialContext = dialer.DialContext
	checked.Proxy = nil
	return guard{t, checked}
}

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Value(guardedKey{}) == nil {
		return g.plain.RoundTrip(req)
	}
	if g.plain.Proxy != nil {
		if proxy, err := g.plain.Proxy(req); err != nil || proxy != nil {
			return g.plain.RoundTrip(req)
		}
	}
	return g.checked.RoundTrip(req)
}

// CloseIdleConnections implements what http.Client does for its transport.
func (g guard) CloseIdleConnections() {
	g.plain.CloseIdleConnections()
	g.checked.CloseIdleConnections()
}

// checkAddress refuses internal addresses; it is the Control of a net.Dialer.
func checkAddress(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return refuse("its address cannot be read")
	}
	if isInternal(a.Addr()) {
		return &refusedError{fmt.Sprintf("its name leads to %s, an internal address", a.Addr()), true}
	}
	return nil
}
