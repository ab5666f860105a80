package oci

import (
	"net/netip"
	"net/url"
	"testing"
)

func TestInternalAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "10.0.0.1": true, "172.16.0.1": true, "192.168.1.1": true,
		"169.254.169.254": true,
		"100.100.100.200": true, "0.0.0.0": true, "0.1.2.3": true, "224.0.0.1": true, "255.255.255.255": true,
		"240.0.0.1":   true,
		"192.0.0.192": true, "198.18.0.1": true, "::1": true, "::": true, "fe80::1": true, "fe80::1%eth0": true,
		"fc00::1":       true,
		"fd00:ec2::254": true, "fec0::1": true, "ff02::1": true, "::ffff:10.0.0.1": true, "::ffff:127.0.0.1": true,
		"64:ff9b::a00:1": true, "64:ff9b::7f00:1": true, "64:ff9b:1::1": true, "2002:7f00:1::": true, "2002:a00:1::1": true,
		"::7f00:1": true, "2001:0:a00:1::1": true, "100::1": true,
		"8.8.8.8": false, "100.63.255.255": false, "172.32.0.1": false, "192.0.1.1": false, "2606:4700::1111": false,
		"64:ff9b::808:808": false, "2002:808:808::1": false, "::ffff:8.8.8.8": false, "2001:4860:4860::8888": false,
	} {
		if got := isInternal(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
		if err := checkAddress("tcp", netip.AddrPortFrom(netip.MustParseAddr(text), 443).String(),
			nil); (err != nil) != want {
			t.Errorf("dialling %s: %v", text, err)
		}
	}
}

func TestVisits(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "registry.home:5000"}
	v := visit{base, []string{"gitlab.home", "10.0.0.7:8443", "MinIO.home:443", "[fd00::1]:80"}, "x"}
	for text, want := range map[string]string{
		"https://registry.home:5000/x": "asked", "http://REGISTRY.home/x": "asked", "https://gitlab.home/x": "asked",
		"https://gitlab.home:99/x": "asked", "https://10.0.0.7:8443/": "asked", "https://10.0.0.7/": "refused",
		"https://minio.home/": "asked", "https://minio.home:444/": "checked", "http://[fd00::1]/": "asked",
		"https://[fd00::1]/": "refused", "https://cdn.example.com/x": "checked", "https://8.8.8.8/x": "checked",
		"https://[::ffff:127.0.0.1]/": "refused", "https://[fe80::1%25eth0]/": "refused", "ftp://cdn.example.com/": "refused",
		"file:///etc/passwd": "refused", "https:///x": "refused", "//cdn.example.com/": "refused",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := "asked"
		if guarded, err := v.check(u); err != nil {
			got = "refused"
		} else if guarded {
			got = "checked"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// TestAuthorizationsAreBounded remembers one for each repository, and forgets the oldest.
func TestAuthorizationsAreBounded(t *testing.T) {
	var a authorizations
	newest := &authorization{}
	for i := range 3 * maxAuthorizations {
		a.set(string(rune('a'+i)), &authorization{})
		a.set("again", newest)
	}
	if len(a.byKey) != maxAuthorizations || len(a.order) != maxAuthorizations {
		t.Errorf("%d in the map, %d in the order", len(a.byKey), len(a.order))
	}
	if a.get(string(rune('a'+3*maxAuthorizations-1))) == nil || a.get("a") != nil {
		t.Error("it is not the oldest that is forgotten")
	}
	a.set("again", newest)
	a.drop("again", &authorization{})
	if a.get("again") != newest {
		t.Error("what somebody else renewed is dropped")
	}
	a.drop("again", newest)
	if a.get("again") != nil || len(a.order) != len(a.byKey) {
		t.Error("what was dropped is there")
	}
}

// TestSecretsAreBounded keeps the last.
func TestSecretsAreBounded(t *testing.T) {
	var s secrets
	for i := range 100 {
		s.add(string(rune('a'+i)), "", string(rune('a'+i)))
	}
	if all := s.all(); len(all) != maxSecrets || all[maxSecrets-1] != string(rune('a'+99)) {
		t.Errorf("%q", all)
	}
}
