package main

import (
	"context"
	"fmt"
	"slices"

	"authz/internal/testbed"
)

// proxied is an Envoy of one worker with one way of authorization.
type proxied struct {
	Name     string
	envoy    *testbed.Envoy
	server   int  // pid of the server that it asks, or 0
	refuses  bool // it must not let everybody in
	measured *envoyRow
}

// envoyRow is what a request costs through one of them, Envoy and server together.
type envoyRow struct {
	Server  string    `json:"server"`
	Samples []sample  `json:"samples"`
	Added   []float64 `json:"added_us_per_request"` // over no authorization, in the same round
	Ratios  []float64 `json:"ratios"`               // of what is added, to what A adds
}

const (
	unguarded = "no authorization"
	ownFilter = "Envoy's jwt_authn + rbac"
	envoyConn = 64

	throughName = "through Envoy"
)

type object = map[string]any

func filter(name, kind string, config object) object {
	config["@type"] = "type.googleapis.com/envoy.extensions.filters.http." + kind
	return object{"name": name, "typed_config": config}
}

// asks is the filter of an external authorization and the cluster of its server.
func asks(network object) []testbed.Edit {
	return filters(filter("envoy.filters.http.ext_authz", "ext_authz.v3.ExtAuthz", object{
		"transport_api_version": "V3",
		"status_on_error":       object{"code": "ServiceUnavailable"},
		"grpc_service": object{"timeout": "10s", "envoy_grpc": object{"cluster_name": "authz"},
			"initial_metadata": []any{object{"key": "x-authz-client-address", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}},
	}), testbed.Edit{Path: "static_resources.clusters", Value: []any{object{
		"name": "authz", "connect_timeout": "5s",
		"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": object{"http2_protocol_options": object{}}}},
		"load_assignment": object{"cluster_name": "authz", "endpoints": []any{object{"lb_endpoints": []any{
			object{"endpoint": object{"address": network}}}}}},
	}}})
}

// filters are the HTTP filters before the router.
func filters(f object, more ...testbed.Edit) []testbed.Edit {
	all := []any{filter("envoy.filters.http.router", "router.v3.Router", object{})}
	if f != nil {
		all = slices.Insert(all, 0, any(f))
	}
	return append([]testbed.Edit{{Path: testbed.HCM + ".http_filters", Value: all}}, more...)
}

// ownFilters are what Envoy can do by itself: verify the token, remember it, and ask
// for a role by the path. It can't compare a path with a claim: on the owner's route it
// asks for the least of the roles.
func ownFilters(jwks string) []testbed.Edit {
	policies := object{}
	for i := range 12 {
		policies[fmt.Sprint("r", i)] = object{
			"permissions": []any{object{"url_path": object{"path": object{"prefix": fmt.Sprintf("/r%d/", i)}}}},
			"principals": []any{object{"metadata": object{"filter": "envoy.filters.http.jwt_authn",
				"path":  []any{object{"key": "jwt"}, object{"key": "roles"}},
				"value": object{"list_match": object{"one_of": object{"string_match": object{"exact": guard(i)}}}}}}},
		}
	}
	authn := filter("envoy.filters.http.jwt_authn", "jwt_authn.v3.JwtAuthentication", object{
		"providers": object{"bench": object{"issuer": issuer, "audiences": []any{"bench"}, "forward": true, "payload_in_metadata": "jwt",
			"local_jwks": object{"inline_string": jwks}, "jwt_cache_config": object{"jwt_cache_size": 4000}}},
		"rules": []any{object{"match": object{"prefix": "/"}, "requires": object{"provider_name": "bench"}}},
	})
	edits := filters(authn)
	list := edits[0].Value.([]any)
	edits[0].Value = slices.Insert(list, 1, any(filter("envoy.filters.http.rbac", "rbac.v3.RBAC", object{"rules": object{"policies": policies}})))
	return edits
}

func guard(route int) string {
	if route == owned {
		return roles[0]
	}
	return roles[route%len(roles)]
}

// startEnvoys puts an Envoy before each subject, and two that ask nobody.
func startEnvoys(ctx context.Context, k keys, subjects []subject) (all []*proxied, stop func(), err error) {
	stop = func() {
		for _, p := range all {
			_ = p.envoy.Stop() // it is of no more use
		}
	}
	start := func(name string, server int, refuses bool, edits []testbed.Edit) error {
		e, err := testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Config: "bench/envoy.yaml", Edits: edits})
		if err != nil {
			return fmt.Errorf("an Envoy for %s (`make envoy` gets it): %w", name, err)
		}
		all = append(all, &proxied{Name: name, envoy: e, server: server, refuses: refuses, measured: &envoyRow{Server: name}})
		return nil
	}
	jwks, err := k.jwks()
	if err != nil {
		return nil, stop, fmt.Errorf("encoding the keys: %w", err)
	}
	if err := start(unguarded, 0, false, filters(nil)); err != nil {
		return all, stop, err
	}
	if err := start(ownFilter, 0, true, ownFilters(string(jwks))); err != nil {
		return all, stop, err
	}
	for i := range subjects {
		s := &subjects[i]
		if err := start(s.Name, s.pid, !s.constant, asks(s.network())); err != nil {
			return all, stop, err
		}
	}
	return all, stop, nil
}

// throughEnvoy measures requests through a real Envoy: the processor time of Envoy and
// of the server that it asks, less that of an Envoy that asks nobody.
func throughEnvoy(ctx context.Context, o options, r *report, k keys, subjects []subject) error {
	fmt.Fprintln(o.log, throughName)
	all, stop, err := startEnvoys(ctx, k, subjects)
	defer stop()
	if err != nil {
		return err
	}
	tokens := sign(1000/o.many, func(i int) string { return k.rs.Token(claims(user(i), lifetime, roles...)) }, nil)
	requests := plain(tokens, 12000/o.many)
	viewer := k.rs.Token(claims("user-1", lifetime, "viewer"))
	for _, p := range all {
		refused := []message{get("/r1/"+uuid(), viewer, 403), get("/r0/"+uuid(), "", 401), get("/r0/"+uuid(), viewer+"A", 401)}
		if !p.refuses {
			refused = allow(refused)
		}
		// Each message once: also what warms the caches.
		for _, set := range [][]message{refused, requests} {
			if _, err := driveHTTP(ctx, p, set, 0); err != nil {
				return fmt.Errorf("%s: %s: %w", throughName, p.Name, err)
			}
		}
	}
	for range o.rounds {
		var none, base float64
		for _, p := range all {
			got, err := driveHTTP(ctx, p, requests, 2*o.time)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", throughName, p.Name, err)
			}
			p.measured.Samples = append(p.measured.Samples, got)
			switch p.Name {
			case unguarded:
				none = got.CPU
			case "A":
				base = got.CPU
			}
		}
		for _, p := range all {
			added := p.measured.Samples[len(p.measured.Samples)-1].CPU - none
			p.measured.Added = append(p.measured.Added, added)
			p.measured.Ratios = append(p.measured.Ratios, added/(base-none))
		}
	}
	for _, p := range all {
		r.Envoy = append(r.Envoy, *p.measured)
	}
	return nil
}
