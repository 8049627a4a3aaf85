package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"authz/internal/inject"
)

// What the API server answers that the keeper acts on.
var (
	errConflict  = errors.New("somebody else changed it meanwhile")
	errNotFound  = errors.New("it is not there")
	errForbidden = errors.New("it is forbidden")
)

// Cluster is the API server, as far as two objects need it.
type Cluster struct {
	// URL is its address, https://10.96.0.1:443.
	URL string
	// TokenFile holds the service account's token. It is read each time: the kubelet
	// renews it.
	TokenFile string
	HTTP      *http.Client
}

// InCluster is the API server of the cluster that this pod runs in; dir is where the
// service account's files are mounted.
func InCluster(host, port, dir string) (*Cluster, error) {
	ca, err := os.ReadFile(dir + "/ca.crt")
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s/ca.crt holds no certificate", dir)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &Cluster{
		URL:       "https://" + host + ":" + port,
		TokenFile: dir + "/token",
		HTTP: &http.Client{
			Timeout: 10 * time.Second,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
				IdleConnTimeout: 90 * time.Second,
			},
			// The token is for the API server alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// get reads an object; all its fields are kept, so that put writes them back.
func (c *Cluster) get(ctx context.Context, path string) (inject.Object, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

// put replaces an object that get returned. Its resourceVersion makes the API server
// refuse when somebody else wrote in between (errConflict).
func (c *Cluster) put(ctx context.Context, path string, o inject.Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = c.do(ctx, http.MethodPut, path, body)
	return err
}

const maxObject = 4 << 20

func (c *Cluster) do(ctx context.Context, method, path string, body []byte) (inject.Object, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading the service account's token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "authz-webhook")
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxObject))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %w", method, path, refusal(answer.StatusCode, text))
	}
	var o inject.Object
	if err := unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("%s %s: reading the answer: %w", method, path, err)
	}
	return o, nil
}

func refusal(code int, text []byte) error {
	var status struct{ Message string }
	_ = json.Unmarshal(text, &status) // not every answer is a Status
	kind := map[int]error{http.StatusConflict: errConflict, http.StatusNotFound: errNotFound, http.StatusForbidden: errForbidden}[code]
	if kind == nil {
		kind = fmt.Errorf("the API server answers %d", code)
	}
	if status.Message == "" {
		return kind
	}
	return fmt.Errorf("%w: %s", kind, status.Message)
}
