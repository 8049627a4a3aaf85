// Package schemas holds the JSON Schemas that describe what crosses a boundary of
// authz, so that the program and the tools of policy authors read the same file.
package schemas

import _ "embed"

// Input describes the document a policy reads, for `opa check --schema` and for
// the sidecar's own check when it loads a policy.
//
//go:embed input.json
var Input []byte
