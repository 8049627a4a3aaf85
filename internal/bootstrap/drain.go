package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"
)

// drainPath has Envoy end connections after the answer under way, and go on
// accepting new ones: who still sends to a pod that stops is served, and finds
// another one for the next request.
const drainPath = "/drain_listeners?graceful&skip_exit"

// allowDrain opens that one path of the admin interface, which is on loopback.
func allowDrain(root *yaml.Node) error {
	admin := at(root, "admin")
	if admin == nil {
		return errors.New("Envoy's configuration has no admin interface, by which it could be drained")
	}
	paths := at(admin, "allow_paths")
	if paths == nil {
		return nil // all are open
	}
	paths.Content = append(paths.Content, node(map[string]any{"exact": drainPath}))
	return nil
}

// Drain asks the Envoy whose admin interface is at the host:port to drain.
func Drain(ctx context.Context, admin string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+drainPath, http.NoBody)
	if err != nil {
		return fmt.Errorf("draining Envoy: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("draining Envoy: %w", err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("draining Envoy: %s: %s; its admin interface must allow POST %s", answer.Status, strings.TrimSpace(string(text)), drainPath)
	}
	return nil
}
