package check

import (
	"reflect"
	"strings"
	"testing"
)

func TestNormalizeHost(t *testing.T) {
	for _, row := range []struct{ about, host, scheme, want string }{
		{"plain", "example.com", "https", "example.com"},
		{"CVE-2021-39155", "EXAMPLE.com:443", "https", "example.com"},
		{"scheme in another case", "example.com:443", "HTTPS", "example.com"},
		{"websocket", "example.com:443", "wss", "example.com"},
		{"default of the other scheme", "example.com:443", "http", "example.com:443"},
		{"http", "example.com:80", "http", "example.com"},
		{"no scheme known", "example.com:80", "", "example.com:80"},
		{"trailing dot", "example.com.", "https", "example.com"},
		{"trailing dot and port", "Example.com.:443", "https", "example.com"},
		{"other port", "example.com:08443", "https", "example.com:8443"},
		{"empty port", "example.com:", "https", "example.com"},
		{"IPv6", "[2001:DB8:0::1]:443", "https", "[2001:db8::1]"},
		{"IPv6, other port", "[::1]:8443", "https", "[::1]:8443"},
		{"a KELVIN SIGN is not a k", "\u212aey", "https", "\u212aey"},
		{"not a host", "A,B", "https", "a,b"},
		{"not a host", "a:b:C", "https", "a:b:c"},
		{"not a host", "[::1", "https", "[::1"},
		{"not a host", "[]", "https", "[]"},
		{"not a host", "[", "https", "["},
		{"not a host", ".", "https", "."},
		{"none", "", "https", ""},
	} {
		got := NormalizeHost(row.host, row.scheme)
		if again := NormalizeHost(got, row.scheme); got != row.want || again != got {
			t.Errorf("%s: NormalizeHost(%q, %q) = %q, again %q; want %q", row.about, row.host, row.scheme, got, again, row.want)
		}
	}
}

func TestParseClient(t *testing.T) {
	for _, row := range []struct {
		about, addr, scheme string
		want                Client
		fault               string
	}{
		{"IPv4", "203.0.113.7", "https", Client{"203.0.113.7", "203.0.113.7", "https"}, ""},
		{"IPv6 is one block of 64 bits", "2001:DB8:1:2:3::4", "http", Client{"2001:db8:1:2:3::4", "2001:db8:1:2::/64", "http"}, ""},
		{"its neighbour has the same", "2001:db8:1:2:ffff::", "http", Client{"2001:db8:1:2:ffff::", "2001:db8:1:2::/64", "http"}, ""},
		{"IPv4 in IPv6", "::ffff:203.0.113.7", "https", Client{"203.0.113.7", "203.0.113.7", "https"}, ""},
		{"the same in hexadecimal", "::ffff:cb00:7107", "https", Client{"203.0.113.7", "203.0.113.7", "https"}, ""},
		{"zone", "fe80::1%eth0", "https", Client{"fe80::1", "fe80::/64", "https"}, ""},
		{"Unix socket", "/run/envoy.sock", "https", Client{Scheme: "https"}, ""},
		{"none", "", "", Client{}, ""},
		{"with a port, which is not an address", "203.0.113.7:80", "https", Client{Scheme: "https"}, ""},
		{"octal", "010.0.0.1", "https", Client{Scheme: "https"}, ""},
		{"scheme in upper case", "203.0.113.7", "HTTPS", Client{"203.0.113.7", "203.0.113.7", "https"}, ""},
		{"unknown scheme", "203.0.113.7", "ftp", Client{}, "scheme"},
	} {
		got, fault := ParseClient(row.addr, row.scheme)
		if got != row.want || code(fault) != row.fault {
			t.Errorf("%s: ParseClient(%q, %q) = %+v, %v; want %+v, %q", row.about, row.addr, row.scheme, got, fault, row.want, row.fault)
		}
	}
}

func TestRequestID(t *testing.T) {
	long := strings.Repeat("x", maxRequestID+1)
	for _, row := range []struct{ about, header, own, want string }{
		{"as Envoy set it", "6f1c-2", "77", "6f1c-2"},
		{"the longest", long[1:], "77", long[1:]},
		{"too long", long, "77", "77"},
		{"repeated", "a,b", "77", "77"},
		{"markup", "<script>", "77", "77"},
		{"newline", "a\nb", "77", "77"},
		{"not ASCII", "é", "77", "77"},
		{"empty", "", "77", "77"},
		{"neither", "a b", "c d", ""},
		{"neither", long, long, ""},
	} {
		if got := RequestID(headers("x-request-id", row.header), row.own); got != row.want {
			t.Errorf("%s: %q, want %q", row.about, got, row.want)
		}
	}
	if got := RequestID(nil, "77"); got != "77" {
		t.Errorf("no header: %q", got)
	}
}

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"x-forwarded-user": "x-forwarded-user",
		"X_Forwarded_User": "x-forwarded-user",
		"x-forwarded_USER": "x-forwarded-user",
		"":                 "",
	} {
		if got := Canonical(name); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestJoinHeaders(t *testing.T) {
	got, fault := JoinHeaders([]RawHeader{
		{Key: "x-b", RawValue: []byte("1")}, {Key: "X-A", Value: "x"}, {Key: "x-b", RawValue: []byte("2")}, {Key: "x-b"},
	})
	if want := headers("x-b", "1,2,", "x-a", "x"); fault != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, fault, want)
	}
	if got, fault := JoinHeaders([]RawHeader{{Key: "a", RawValue: []byte{0xff}}}); got != nil || code(fault) != "header_utf8" {
		t.Errorf("not UTF-8: %v, %v", got, fault)
	}
}

// Every byte at every place of a word is judged as the plain loop judges it.
func TestIsFieldText(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			for _, filler := range []string{"a", " ", "~", "\t"} {
				b := []byte(strings.Repeat(filler, 17))
				b[at] = byte(c)
				if got, want := isFieldText(string(b)), isFieldBytes(string(b)); got != want {
					t.Errorf("byte 0x%02x at %d among %q: %v, want %v", c, at, filler, got, want)
				}
			}
		}
	}
}
