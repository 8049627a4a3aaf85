package main

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authz/internal/testbed"
)

// store keeps between runs what is dear to make: an RSA signature takes about a
// millisecond, a hundred thousand of them minutes. Keys and tokens are worth nothing
// outside the benchmark.
type store struct {
	dir string
	log io.Writer
}

// lifetime is how long kept tokens are good for. A file is made anew when half of it
// is over.
const lifetime = 60 * 24 * time.Hour

// keys sign the tokens of the benchmark.
type keys struct{ rs, es testbed.Key }

// kept are a hundred thousand tokens of either.
type kept struct{ rs, es []string }

func (s store) keys() (keys, error) {
	rs, err := s.key("rs", "RS256")
	if err != nil {
		return keys{}, err
	}
	es, err := s.key("es", "ES256")
	return keys{rs, es}, err
}

// key is a key of the store, made when it is not there yet.
func (s store) key(id, alg string) (testbed.Key, error) {
	path := filepath.Join(s.dir, id+".pem")
	if text, err := os.ReadFile(path); err == nil {
		if block, _ := pem.Decode(text); block != nil {
			if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				if signer, ok := parsed.(crypto.Signer); ok {
					return testbed.Key{ID: id, Alg: alg, Signer: signer}, nil
				}
			}
		}
		return testbed.Key{}, fmt.Errorf("%s is no private key: remove it, and it is made anew", path)
	}
	k := testbed.NewKey(id, alg)
	der, err := x509.MarshalPKCS8PrivateKey(k.Signer)
	if err == nil {
		err = s.keep(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return k, err
}

// tokens are n tokens, of user-00000000 and so on, from the store.
func (s store) tokens(k testbed.Key, n int) ([]string, error) {
	name, err := fingerprint(k)
	if err != nil {
		return nil, fmt.Errorf("naming the key: %w", err)
	}
	path := filepath.Join(s.dir, fmt.Sprintf("%s-%s-%d.tokens", k.ID, name, n))
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < lifetime/2 {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the tokens: %w", err)
		}
		if out := strings.Fields(string(text)); len(out) == n {
			return out, nil
		}
	}
	began := time.Now()
	out := sign(n, func(i int) string {
		return k.Token(claims(user(i), lifetime, roles...))
	}, func(done int) { fmt.Fprintf(s.log, "signing %s tokens: %d of %d\n", k.Alg, done, n) })
	fmt.Fprintf(s.log, "signed %d %s tokens in %v; kept in %s\n", n, k.Alg, time.Since(began).Round(time.Second), s.dir)
	return out, s.keep(path, []byte(strings.Join(out, "\n")+"\n"))
}

func (s store) both(k keys, n int) (out kept, err error) {
	if out.rs, err = s.tokens(k.rs, n); err == nil {
		out.es, err = s.tokens(k.es, n)
	}
	return out, err
}

// fingerprint is the name of a key by its public half: tokens of another one are not taken.
func fingerprint(k testbed.Key) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Signer.Public())
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:6]), err
}

// keep writes a file as a whole or not at all.
func (s store) keep(path string, text []byte) error {
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// sign makes n tokens on all processors. tell, if not nil, hears how far it is every few seconds.
func sign(n int, token func(i int) string, tell func(done int)) []string {
	out := make([]string, n)
	var next, done atomic.Int64
	var group sync.WaitGroup
	stop := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if tell != nil {
					tell(int(done.Load()))
				}
			case <-stop:
				return
			}
		}
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				out[i] = token(int(i))
				done.Add(1)
			}
		})
	}
	group.Wait()
	close(stop)
	teller.Wait()
	return out
}
