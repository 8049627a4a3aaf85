package extauthz

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// authority is a certificate authority for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

var serial int64

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	a.certificate = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial++
	template.SerialNumber = big.NewInt(serial)
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// issue returns a certificate for 127.0.0.1 and its key, as PEM.
func (a *authority) issue(t *testing.T) (certificate, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := a.sign(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, k)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func (a *authority) identity(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// tlsFiles are files in a directory; write replaces one as a rename does, so soon
// after the one before that the file system's clock has not moved.
type tlsFiles struct{ dir string }

func (f tlsFiles) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	tick := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(path+".new", tick, tick); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f tlsFiles) issue(t *testing.T, a *authority) TLS {
	t.Helper()
	certificate, key := a.issue(t)
	return TLS{CertFile: f.write(t, "cert.pem", certificate), KeyFile: f.write(t, "key.pem", key)}
}

func tlsDial(t *testing.T, s *running, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	return dial(t, s.tcp(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

// refused sends a check that must not get through.
func refused(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if out, err := authv3.NewAuthorizationClient(conn).Check(ctx, httpCheck("GET", "/", nil)); err == nil {
		t.Errorf("answered %v", out)
	}
}

func TestOverTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	s := start(t, Config{Address: "127.0.0.1:0", TLS: tlsFiles{t.TempDir()}.issue(t, ours)}, nil)
	want(t, ask(t, tlsDial(t, s, &tls.Config{RootCAs: ours.pool()}), httpCheck("GET", "/", nil)), plainAllow)
	refused(t, tlsDial(t, s, &tls.Config{RootCAs: theirs.pool()}))
	refused(t, dial(t, s.tcp())) // plaintext

	for name, config := range map[string]*tls.Config{
		"TLS 1.1":       {RootCAs: ours.pool(), MaxVersion: tls.VersionTLS11, NextProtos: []string{"h2"}},
		"without ALPN":  {RootCAs: ours.pool(), MaxVersion: tls.VersionTLS12},
		"HTTP/1.1 only": {RootCAs: ours.pool(), MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	} {
		conn, err := tls.Dial("tcp", s.tcp(), config)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestClientsWithoutACertificate(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	files := tlsFiles{t.TempDir()}
	config := files.issue(t, ours)
	config.ClientCAFile = files.write(t, "ca.pem", ours.pem())
	s := start(t, Config{Address: "127.0.0.1:0", TLS: config}, nil)
	with := func(certificates ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ours.pool(), Certificates: certificates}
	}
	want(t, ask(t, tlsDial(t, s, with(ours.identity(t))), httpCheck("GET", "/", nil)), plainAllow)
	refused(t, tlsDial(t, s, with()))
	refused(t, tlsDial(t, s, with(theirs.identity(t))))

	// The authority changes: at once, for who connects from now on.
	files.write(t, "ca.pem", theirs.pem())
	refused(t, tlsDial(t, s, with(ours.identity(t))))
	want(t, ask(t, tlsDial(t, s, with(theirs.identity(t))), httpCheck("GET", "/", nil)), plainAllow)
}

func TestCertificatesAreReadAgain(t *testing.T) {
	first, second, third := newAuthority(t), newAuthority(t), newAuthority(t)
	files := tlsFiles{t.TempDir()}
	var log bytes.Buffer
	c, err := loadCertificates(files.issue(t, first), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	signedBy := func(a *authority) bool {
		_, err := c.current().Certificates[0].Leaf.Verify(x509.VerifyOptions{Roots: a.pool()})
		return err == nil
	}
	if !signedBy(first) {
		t.Error("the first certificate is not served")
	}
	files.issue(t, second)
	if !signedBy(second) {
		t.Error("the second certificate is not served")
	}

	// Half of a change, and then worse: the second stays, and the log says so once each.
	log.Reset()
	certificate, key := third.issue(t)
	files.write(t, "cert.pem", certificate)
	for range 3 {
		if !signedBy(second) {
			t.Error("a key that does not fit took the second certificate away")
		}
	}
	if err := os.Remove(filepath.Join(files.dir, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !signedBy(second) {
			t.Error("a file that is gone took the second certificate away")
		}
	}
	if n := strings.Count(log.String(), "stay in force"); n != 2 {
		t.Errorf("told %d times, want 2:\n%s", n, log.String())
	}
	files.write(t, "cert.pem", certificate)
	files.write(t, "key.pem", key)
	if !signedBy(third) {
		t.Error("the third certificate is not served")
	}
}

func TestTLSFilesThatAreNoGood(t *testing.T) {
	a := newAuthority(t)
	files := tlsFiles{t.TempDir()}
	good := files.issue(t, a)
	garbage := files.write(t, "garbage", []byte("x"))
	for _, row := range []TLS{
		{CertFile: "/no/cert", KeyFile: good.KeyFile},
		{CertFile: garbage, KeyFile: good.KeyFile},
		{CertFile: good.CertFile, KeyFile: good.CertFile},
		{CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: "/no/ca"},
		{CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: garbage},
	} {
		if _, err := loadCertificates(row, silent); err == nil {
			t.Errorf("%+v: loaded", row)
		}
	}
}
