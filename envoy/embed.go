// Package envoy carries the Envoy configuration that this project ships: envoy.yaml,
// hardened, with every line explained. Its tests run it in a real Envoy.
package envoy

import _ "embed"

// Config is envoy.yaml.
//
//go:embed envoy.yaml
var Config []byte
