package oci

import (
	"net/http"
	"strings"
)

const (
	schemeBasic  = "basic"
	schemeBearer = "bearer"
	// What is read of challenges: bytes of each header, challenges in all, parameters of each.
	maxChallengeBytes  = 16 << 10
	maxChallenges      = 16
	maxChallengeParams = 16
)

// challenge is one way in which a registry wants to be asked.
type challenge struct {
	scheme string            // in lower case
	params map[string]string // names in lower case; of a name that comes twice the first counts
}

// challengesOf reads all challenges of an answer: several may stand in one header, and in several.
//
// It is more tolerant than RFC 9110, section 11: a value without quotation marks may have any characters but blanks and
// commas, and parameters may be separated by blanks alone.
func challengesOf(header http.Header) []challenge {
	var all []challenge
	for _, value := range header.Values("WWW-Authenticate") {
		all = append(all, parseChallenges(value)...)
		if len(all) >= maxChallenges {
			return all[:maxChallenges]
		}
	}
	return all
}

func parseChallenges(value string) (all []challenge) {
	p := parser{value[:min(len(value), maxChallengeBytes)]}
	for {
		p.skip(" \t,")
		if p.rest == "" {
			return all
		}
		name := p.token()
		if name == "" {
			p.rest = p.rest[1:] // not the beginning of anything
			continue
		}
		name = strings.ToLower(name)
		begin := p.rest
		p.skip(" \t")
		if strings.HasPrefix(p.rest, "=") && len(all) > 0 {
			p.skip("= \t")
			all[len(all)-1].set(name, p.value())
			continue
		}
		p.rest = begin
		if len(all) == maxChallenges {
			return all
		}
		all = append(all, challenge{scheme: name})
		p.token68()
	}
}

func (c *challenge) set(name, value string) {
	if c.params == nil {
		c.params = map[string]string{}
	}
	if _, have := c.params[name]; !have && len(c.params) < maxChallengeParams {
		c.params[name] = value
	}
}

// parser reads a header from its beginning on.
type parser struct{ rest string }

func (p *parser) skip(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

// take reads all bytes that are of a kind.
func (p *parser) take(is func(byte) bool) string {
	i := 0
	for i < len(p.rest) && is(p.rest[i]) {
		i++
	}
	taken := p.rest[:i]
	p.rest = p.rest[i:]
	return taken
}

func (p *parser) token() string { return p.take(isTokenByte) }

func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// value reads the value of a parameter, quoted or not.
func (p *parser) value() string {
	if !strings.HasPrefix(p.rest, `"`) {
		return p.take(func(c byte) bool { return c != ',' && c != ' ' && c != '\t' })
	}
	p.rest = p.rest[1:]
	var b strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return b.String()
		case c == '\\' && p.rest != "":
			b.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// token68 skips what stands alone behind a scheme, as "Negotiate YII=".
func (p *parser) token68() {
	before := p.rest
	p.skip(" \t")
	if before == p.rest {
		return
	}
	p.take(func(c byte) bool { return isTokenByte(c) || c == '/' })
	p.take(func(c byte) bool { return c == '=' })
	p.skip(" \t")
	if p.rest != "" && p.rest[0] != ',' {
		p.rest = before // parameters
	}
}
