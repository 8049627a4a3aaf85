// Package kit carries the test kit for policies (package kit in Rego), which a new
// project gets a copy of. It is no part of the library: a bundle built from
// policies/ has no tests and no kit.
package kit

import _ "embed"

// Rego is the kit's only file.
//
//go:embed kit.rego
var Rego []byte
