package extauthz

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// certificates are the server's identity and the clients' authority as files, read
// at each handshake and taken in when they changed. A new file that is no good (half
// written, a key of another certificate) leaves the old ones in force and is told
// in the log once.
type certificates struct {
	files TLS
	log   *slog.Logger

	mu     sync.Mutex
	seen   contents // of the files when they were last read, good or bad
	config *tls.Config
}

// contents are what the files hold. They are compared whole: two writes within one
// tick of the file system's clock have one time, and certificates mostly one size.
type contents struct{ certificate, key, clientCA string }

func loadCertificates(files TLS, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log}
	seen, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("reading the TLS files: %w", err)
	}
	config, err := c.parse(seen)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS files: %w", err)
	}
	c.seen, c.config = seen, config
	return c, nil
}

// listener serves TLS on l with whatever the files say at each handshake.
func (c *certificates) listener(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	})
}

// current is the configuration for one handshake. It is held under the mutex while
// files are read: handshakes are rare, and the next one wants the result.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, err := c.read()
	if err == nil && seen == c.seen {
		return c.config
	}
	var config *tls.Config
	if err == nil {
		config, err = c.parse(seen)
	}
	if err != nil {
		if seen != c.seen {
			c.log.Error("TLS files not reloaded; the old ones stay in force", "error", err)
		}
		c.seen = seen
		return c.config
	}
	c.seen, c.config = seen, config
	c.log.Info("TLS files reloaded", "certificate", c.files.CertFile, "expires", config.Certificates[0].Leaf.NotAfter)
	return config
}

func (c *certificates) read() (contents, error) {
	var seen contents
	for _, file := range []struct {
		path string
		into *string
	}{{c.files.CertFile, &seen.certificate}, {c.files.KeyFile, &seen.key}, {c.files.ClientCAFile, &seen.clientCA}} {
		if file.path == "" {
			continue
		}
		content, err := os.ReadFile(file.path)
		if err != nil {
			return contents{}, err
		}
		*file.into = string(content)
	}
	return seen, nil
}

func (c *certificates) parse(seen contents) (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(seen.certificate), []byte(seen.key))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2"},
		// A resumed session would keep a client in whose authority is gone.
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.NegotiatedProtocol != "h2" { // RFC 9113, 3.2
				return errors.New("the client did not offer HTTP/2")
			}
			return nil
		},
	}
	if c.files.ClientCAFile != "" {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM([]byte(seen.clientCA)) {
			return nil, fmt.Errorf("%s holds no certificate", c.files.ClientCAFile)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
