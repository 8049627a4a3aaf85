package ratelimit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"authz/internal/testbed"
)

// certificate writes a key and a certificate of 127.0.0.1 by itself, and returns who
// trusts it.
func certificate(t *testing.T) (keyFile, certFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	roots = x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	roots.AddCert(cert)
	return write("key.pem", "PRIVATE KEY", secret), write("cert.pem", "CERTIFICATE", der), roots
}

// A server with TLS and users, and a user who may do only what the sidecar does. Making
// a connection takes longer than a check may wait; it is made all the same.
func TestTLSAndUser(t *testing.T) {
	keyFile, certFile, roots := certificate(t)
	address, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, _ := net.SplitHostPort(address.Addr().String())
	must(t, address.Close())
	server, err := testbed.StartRedis(t.Context(), "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no")
	must(t, err)
	t.Cleanup(func() { _ = server.Stop() })
	_, err = server.Command(t.Context(), "acl", "setuser", "authz", "on", ">hunter2", "~authz:*", "-@all", "+eval", "+evalsha", "+get", "+set", "+pttl", "+pexpire", "+time")
	must(t, err)
	config := RedisConfig{Addresses: []string{"127.0.0.1:" + port}, Username: "authz", Password: "hunter2", TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	open := func(c RedisConfig) *Redis {
		r, err := NewRedis(c)
		must(t, err)
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	s := newShared(open(config), SharedConfig{Budget: budget})
	l := limit("a", 1_000_000, time.Hour)
	for end := time.Now().Add(time.Minute); ; {
		if v := take(t, s, time.Now(), Ask{Limit: l}); v.Fallback == "" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never connected: %s, %+v", s.health.why(), s.Stats())
		}
		time.Sleep(time.Millisecond) // the load, not an event that is awaited
	}
	wrong := config
	wrong.Password = "hunter3"
	stranger := config
	stranger.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	for name, c := range map[string]RedisConfig{"WRONGPASS": wrong, "certificate": stranger} {
		s := newShared(open(c), SharedConfig{Budget: patient})
		// A busy machine may not even get to the refusal at first.
		for end := time.Now().Add(time.Minute); !strings.Contains(s.health.why(), name) && time.Now().Before(end); {
			if v := take(t, s, time.Now(), Ask{Limit: l}); v.Fallback != FallbackLocal {
				t.Fatalf("%s: got %+v", name, v)
			}
		}
		if why := s.health.why(); !strings.Contains(why, name) || strings.Contains(why, "hunter") {
			t.Errorf("%s: the cause is %q", name, why)
		}
	}
}

// One server of a Cluster stops answering: checks of its keys are answered in the
// budget by the fallback, and all is well when it is back.
func TestClusterWithoutOne(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	nodes, err := testbed.StartRedisCluster(t.Context(), 0)
	must(t, err)
	var addresses []string
	for _, n := range nodes {
		t.Cleanup(func() { _ = n.Signal(syscall.SIGCONT); _ = n.Stop() })
		addresses = append(addresses, n.Addr)
		_, err := n.Command(t.Context(), "config", "set", "cluster-require-full-coverage", "no")
		must(t, err)
	}
	s := newShared(connect(t, RedisConfig{Mode: Cluster, Addresses: addresses}), SharedConfig{Budget: budget, Replicas: 3})
	// Every check asks two servers, or two keys of one.
	var asks [][]Ask
	for i := range 30 {
		a, b := busy, busy
		a.Key, b.Key = []string{fmt.Sprint("a", i)}, []string{fmt.Sprint("b", i)}
		asks = append(asks, []Ask{{Limit: a}, {Limit: b}})
	}
	load := startLoadOf(s, asks)
	defer load.end()
	if !load.reaches(func(st stint) bool { return st.exact >= 100 }) {
		t.Fatal("the Cluster never answers")
	}
	must(t, nodes[1].Signal(syscall.SIGSTOP))
	load.next()
	if !load.reaches(func(st stint) bool { return st.local >= 1000 }) {
		t.Error("the fallback never answers")
	}
	during := load.next()
	must(t, nodes[1].Signal(syscall.SIGCONT))
	ended := time.Now()
	load.next()
	if !load.reaches(func(st stint) bool { return st.exact >= 300 }) {
		t.Fatalf("the server is never asked again: %+v", s.Stats())
	}
	t.Logf("p99 %.1f ms, slowest %.1f ms, by the store %d, by the fallback %d; back after %s",
		ms(during.quantile(0.99)), ms(during.quantile(1)), during.exact, during.local, time.Since(ended).Round(time.Millisecond))
	if during.wrong != nil || during.denied > 0 {
		t.Errorf("%+v", during)
	}
	if p99 := during.quantile(0.99); p99 > 20*budget {
		t.Errorf("p99 %s with a budget of %s", p99, budget)
	}
}

// Some of the addresses of a Cluster lead nowhere: the others are found.
func TestClusterWithDeadAddresses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	nodes, err := testbed.StartRedisCluster(t.Context(), 0)
	must(t, err)
	for _, n := range nodes {
		t.Cleanup(func() { _ = n.Stop() })
	}
	// A listener that nobody accepts from: connections are made, and nothing answers.
	silent, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	s := newShared(connect(t, RedisConfig{Mode: Cluster, Addresses: []string{silent.Addr().String(), nodes[0].Addr}}), SharedConfig{Budget: budget})
	load := startLoad(s)
	defer load.end()
	if !load.reaches(func(st stint) bool { return st.exact >= 100 }) {
		t.Fatalf("the Cluster is never found: %s, %+v", s.health.why(), s.Stats())
	}
}
