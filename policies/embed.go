// Package policies carries the policy library: the Rego files of package authz
// below this directory. The program loads them beside a team's own data and
// rules, so that a team's folder holds only what is the team's; a stock opa reads
// the same files from the repository.
package policies

import "embed"

// Library is the tree of Rego files, authz/ at its root.
//
//go:embed authz
var Library embed.FS
