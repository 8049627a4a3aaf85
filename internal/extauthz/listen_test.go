package extauthz

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestASocketIsPutInPlaceOfAStaleOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authz.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Socket: path, SocketMode: 0o600}, nil)
	want(t, ask(t, s.dial(t), httpCheck("GET", "/", nil)), plainAllow)
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("%v, %v; want a socket of mode 0600", info, err)
	}
	s.end()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %v left behind", left, err)
	}
}

func TestTheModeOfASocket(t *testing.T) {
	s := start(t, Config{}, nil)
	info, err := os.Lstat(s.path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v; want mode 0660", info, err)
	}
}

func TestSocketsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		file:                                  "not a socket",
		filepath.Join(dir, "no", "sock"):      "no such file or directory",
		filepath.Join(file, "sock"):           "not a directory",
		"/tmp/" + strings.Repeat("x", 103):    "too long",
		"/" + strings.Repeat("y", 100) + "/s": "too long",
	} {
		if s, err := listenSocket(path, 0o600); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v; want an error that says %q", path, s, err, says)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v: the file was touched", text, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v left behind", left, err)
	}
}

// Who leaves does not take the path of who came.
func TestASuccessorsSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := listenSocket(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if old.succeeded() {
		t.Error("succeeded by itself")
	}
	young, err := listenSocket(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if !old.succeeded() || young.succeeded() {
		t.Errorf("succeeded: old %v, young %v", old.succeeded(), young.succeeded())
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's path is gone: %v", err)
	}
	if err := young.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestAPathThatSomebodyElseRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := listenSocket(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s.succeeded() {
		t.Error("nobody there, yet succeeded")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestListeningAddresses(t *testing.T) {
	for _, row := range []struct {
		config Config
		says   string // "": listens
	}{
		{Config{Address: "127.0.0.1:0"}, ""},
		{Config{Address: "[::1]:0"}, ""},
		{Config{Address: "localhost:0"}, ""},
		{Config{Address: ":0"}, "not a loopback address"},
		{Config{Address: "0.0.0.0:0"}, "not a loopback address"},
		{Config{Address: "0.0.0.0:0", AllowPlaintext: true}, ""},
		{Config{Address: "127.0.0.1"}, "missing port"},
		{Config{Address: "0.0.0.0:0", TLS: TLS{CertFile: "/no/cert", KeyFile: "/no/key"}}, "/no/cert"},
		{Config{}, "neither a socket nor an address"},
		{Config{Address: "127.0.0.1:0", Socket: "/no/such/dir/s"}, "/no/such/dir/s"},
	} {
		row.config.Fail = (&records{}).fail
		s, err := NewServer(row.config, allowed, silent)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Listen()
		if row.says == "" && err != nil || row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%+v: %v, want %q", row.config.Address, err, row.says)
		}
		for _, l := range s.doors {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	s := start(t, Config{Address: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "s")}, nil)
	got := s.Addresses()
	if len(got) != 2 || got[0].Network() != "tcp" || got[1].Network() != "unix" || got[1].String() != s.path {
		t.Errorf("%v", got)
	}
}

func TestOverTCP(t *testing.T) {
	s := start(t, Config{Address: "127.0.0.1:0"}, nil)
	want(t, ask(t, dial(t, s.tcp()), httpCheck("GET", "/", nil)), plainAllow)
}

// A peer that breaks the rules while it sends more is told so (GOAWAY) and reads it to the end. Closing over what it has
// sent would reset the connection, and the word would be lost with it.
func TestALastWordIsHeard(t *testing.T) {
	s := start(t, Config{Address: "127.0.0.1:0", Transport: TransportLean}, nil)
	nc, err := net.Dial("tcp", s.tcp())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	broken := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x08\x06\x00\x00\x00\x00\x0712345678" + // PING on a stream
		strings.Repeat("more", 30<<10) // fits what linger reads, not what is read at once
	if _, err := nc.Write([]byte(broken)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(nc)
	if err != nil {
		t.Errorf("%v, after %q", err, said)
	}
	// Length 8, GOAWAY, no flags, no stream, no last stream, PROTOCOL_ERROR.
	if goAway := "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"; !strings.HasSuffix(string(said), goAway) {
		t.Errorf("%q, want a GOAWAY at the end", said)
	}
}
