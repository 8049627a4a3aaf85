// Authz answers Envoy's external-authorization checks, so that the application
// behind Envoy needs no security code.
//
// Commands:
//
//	authz run         answer checks until told to stop
//	authz validate    check configuration and policies without starting
//	authz new         write a policy project that passes its own tests
//	authz input       what a policy would see for a curl line
//	authz why         why a request is refused, and the nearest way to an allow
//	authz matrix      who may do what, and what a change opens
//	authz lint-envoy  name the settings of an Envoy configuration that open a hole
//	authz inject      put the sidecars into Kubernetes manifests
//	authz envoy-config  Envoy's configuration for its place
//	authz envoy-drain  have Envoy end its connections, politely
//	authz redirect    have the kernel give what arrives for the app to Envoy
//	authz webhook     put the sidecars into pods as they are created
//	authz quota       look at a quota in the shared store, or reset it
//	authz config      the configuration's JSON Schema, reference and example
//	authz version     what this binary is
//
// Listeners (all configurable): a Unix socket or a TCP port for Envoy's gRPC
// checks, and a separate port for health, readiness and metrics.
//
// Signals: SIGTERM and SIGINT drain and stop; a second one stops at once. SIGHUP
// reloads the policies. Exit codes: 0 fine, 1 could not run, 2 findings or failed
// checks, 3 a policy does not compile.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
