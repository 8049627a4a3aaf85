package browser

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"authz/internal/testbed"
)

// certificate is a self-signed one, which the browser is told to accept by its pin.
type certificate struct {
	pair  tls.Certificate
	chain string // PEM
	key   string // PEM
	pin   string // base64 of the public key's SHA-256
}

func newCertificate() (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "example.test"},
		DNSNames:     []string{"example.test", "*.example.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	c := &certificate{}
	sum := sha256.Sum256(public)
	c.pin = base64.StdEncoding.EncodeToString(sum[:])
	c.chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c.key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	c.pair, err = tls.X509KeyPair([]byte(c.chain), []byte(c.key))
	return c, err
}

// serve starts an HTTPS server.
func (c *certificate) serve(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c.pair}}
	s.StartTLS()
	return s
}

// listener is the shipped configuration's own listener with TLS in front.
func (c *certificate) listener() (any, error) {
	root, err := testbed.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "envoy", "envoy.yaml"))
	if err != nil {
		return nil, err
	}
	var config struct {
		StaticResources struct {
			Listeners []any `yaml:"listeners"`
		} `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	const authz = "filter_chains.0.filters.0.typed_config.http_filters.0.typed_config"
	return testbed.Apply(config.StaticResources.Listeners[0],
		testbed.Edit{Path: "name", Value: "tls"},
		testbed.Edit{Path: "address.socket_address.address", Value: "127.0.0.1"},
		testbed.Edit{Path: "address.socket_address.port_value", Value: 0},
		testbed.Edit{Path: "filter_chains.0.transport_socket", Value: map[string]any{
			"name": "envoy.transport_sockets.tls",
			"typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
				"common_tls_context": map[string]any{
					"alpn_protocols": []any{"h2", "http/1.1"},
					"tls_certificates": []any{map[string]any{
						"certificate_chain": map[string]any{"inline_string": c.chain},
						"private_key":       map[string]any{"inline_string": c.key},
					}},
				},
			},
		}},
		testbed.Edit{Path: authz + ".failure_mode_allow", Value: true},
		testbed.Edit{Path: authz + ".grpc_service.timeout", Value: "10s"})
}

func listenerAddress(ctx context.Context, e *testbed.Envoy, name string) (string, error) {
	page, err := e.AdminGet(ctx, "/listeners")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(page) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), name+"::"); ok {
			return address, nil
		}
	}
	return "", fmt.Errorf("no listener named %s in %q", name, page)
}
