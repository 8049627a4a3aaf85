package webhook

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Lives of what is made. Each is renewed when a third of its life is left.
const (
	caLife      = 365 * 24 * time.Hour
	servingLife = 30 * 24 * time.Hour
	// skew is forgiven to clocks that are behind.
	skew = 5 * time.Minute
	// settle is how long a new CA must have been published before a certificate by it
	// is served: every API server and every replica has heard of it by then.
	settle = 10 * time.Minute
)

// The keys of the Secret.
const (
	caCertKey  = "ca.crt" // newest first
	caKeyKey   = "ca.key"
	tlsCertKey = "tls.crt"
	tlsKeyKey  = "tls.key"
)

// material is what the Secret holds.
type material struct {
	cas     []*x509.Certificate // newest first; at most two
	caKey   crypto.Signer       // of cas[0]
	serving *tls.Certificate    // Leaf is set
}

// readMaterial takes what can be read and belongs together. What can't is as good
// as absent, and made anew.
func readMaterial(data map[string][]byte) material {
	var m material
	for block, rest := pem.Decode(data[caCertKey]); block != nil; block, rest = pem.Decode(rest) {
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil && ca.IsCA {
			m.cas = append(m.cas, ca)
		}
	}
	if pair, err := tls.X509KeyPair(data[tlsCertKey], data[tlsKeyKey]); err == nil {
		m.serving = &pair
	}
	if block, _ := pem.Decode(data[caKeyKey]); block != nil && len(m.cas) > 0 {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			key, ok := key.(*ecdsa.PrivateKey)
			if ok && key.PublicKey.Equal(m.cas[0].PublicKey) {
				m.caKey = key
			}
		}
	}
	return m
}

// write puts the material into the Secret's data.
func (m material) write(data map[string][]byte) error {
	for name, key := range map[string]crypto.PrivateKey{caKeyKey: m.caKey, tlsKeyKey: m.serving.PrivateKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		data[name] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	data[caCertKey] = m.bundle()
	data[tlsCertKey] = certificatePEM(m.serving.Leaf)
	return nil
}

// bundle is whom the API server shall trust.
func (m material) bundle() []byte {
	var out bytes.Buffer
	for _, ca := range m.cas {
		out.Write(certificatePEM(ca))
	}
	return out.Bytes()
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// renew makes what is missing, broken or old, and reports whether it made anything.
//
// A new CA comes beside the old one. What is served stays signed by the old one
// until the new one has settled, so that no call fails in between.
func (m *material) renew(name string, now time.Time) (changed bool, err error) {
	if m.caKey == nil || old(m.cas[0], now) {
		if err := m.newCA(now); err != nil {
			return false, fmt.Errorf("making a CA: %w", err)
		}
		changed = true
	}
	urgent := m.serving == nil || !m.trusted(name, now)
	settled := now.Sub(m.cas[0].NotBefore) >= skew+settle
	if urgent || settled && (old(m.serving.Leaf, now) || m.serving.Leaf.CheckSignatureFrom(m.cas[0]) != nil) {
		if err := m.newServing(name, now); err != nil {
			return false, fmt.Errorf("making a certificate: %w", err)
		}
		changed = true
	}
	return changed, nil
}

// old reports whether less than a third of a certificate's life is left, or the
// clock is before it.
func old(c *x509.Certificate, now time.Time) bool {
	return now.Before(c.NotBefore) || c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

// trusted reports whether the API server would take the served certificate.
func (m *material) trusted(name string, now time.Time) bool {
	pool := x509.NewCertPool()
	for _, ca := range m.cas {
		pool.AddCert(ca)
	}
	_, err := m.serving.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: now})
	return err == nil
}

func (m *material) newCA(now time.Time) error {
	key, template, err := begin(now, caLife)
	if err != nil {
		return err
	}
	template.Subject = pkix.Name{CommonName: "authz webhook CA of " + now.UTC().Format(time.DateOnly)}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	ca, err := sign(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	cas := []*x509.Certificate{ca}
	if len(m.cas) > 0 && now.Before(m.cas[0].NotAfter) {
		cas = append(cas, m.cas[0])
	}
	m.cas, m.caKey = cas, key
	return nil
}

func (m *material) newServing(name string, now time.Time) error {
	key, template, err := begin(now, servingLife)
	if err != nil {
		return err
	}
	template.Subject = pkix.Name{CommonName: name}
	template.DNSNames = []string{name}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf, err := sign(template, m.cas[0], key.Public(), m.caKey)
	if err != nil {
		return err
	}
	m.serving = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

func begin(now time.Time, life time.Duration) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	return key, &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-skew), NotAfter: now.Add(life)}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// errNoCertificate is what a handshake gets before there is one.
var errNoCertificate = errors.New("no certificate yet")
