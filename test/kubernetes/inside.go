package main

import (
	"context"
	"fmt"
	"strings"
)

// check is one promise. The checks come in the order in which a platform team meets
// them; each finds the cluster as the one before has left it.
type check struct {
	name string
	make func(w *world) (figures string, err error)
}

func inside(ctx context.Context, o options) tally {
	w := &world{ctx: ctx, work: o.work, authz: o.authz}
	var result tally
	fmt.Println("== checks")
	result.report("set up: a restricted namespace, an app, policies", w.setUp)
	if result.failed > 0 {
		return result
	}
	for _, c := range checks {
		if ctx.Err() == nil && strings.Contains(c.name, o.only) {
			result.report(c.name, func() (string, error) { return c.make(w) })
		}
	}
	return result
}

var checks = []check{
	{"manifests of k8s/: strict dry run by the API server", (*world).variants},
	{"workloads of every shape: accepted with the sidecars", (*world).shapes},
	{"Pod Security restricted admits the injected pods", (*world).restricted},
	{"the app sees the caller of a token of the cluster's issuer", (*world).allowed},
	{"refused: no token, forged, another audience, missing role", (*world).denied},
	{"a quota through the Service", (*world).quota},
	{"the app can't be reached around Envoy", (*world).around},
	{"an app that listens everywhere: the kernel redirects to Envoy", (*world).redirected},
	{"the node's memory limit is known to the sidecar, and kept", (*world).memory},
	{"sidecar killed with -9: closed, then back", (*world).killed},
	{"policy update under traffic: in force, nothing lost", (*world).policyUpdate},
	{"a broken policy leaves the old one in force", (*world).brokenPolicy},
	{"rolling restart under traffic: nothing lost", (*world).rollingRestart},
	{"injector: installed from its manifests", (*world).installed},
	{"injector: the webhook does what authz inject does, and once", (*world).injects},
	{"injector: one label on a Deployment", (*world).hooked},
	{"injector: a Job ends although its sidecars would go on", (*world).jobEnds},
	{"injector: whoever has not asked is left alone", (*world).leftAlone},
	{"injector: down, labelled pods are refused, others are not", (*world).down},
}

// setUp is all that a team does: two ConfigMaps, and the sidecars in the manifest.
func (w *world) setUp() (string, error) {
	namespace, err := readText("store/namespace.yaml")
	if err != nil {
		return "", err
	}
	if _, err := w.apply(namespace); err != nil {
		return "", err
	}
	if err := w.configMap("authz-config", testdata("store/authz.yaml")); err != nil {
		return "", err
	}
	if err := w.configMap("authz-policies", testdata("store/policies/data.yaml"), testdata(ownRules)); err != nil {
		return "", err
	}
	objects, err := w.injected("store/app.yaml")
	if err != nil {
		return "", err
	}
	warnings, err := w.apply(objects)
	if err != nil {
		return "", err
	}
	if warnings != "" {
		return "", fmt.Errorf("the API server warns: %s", warnings)
	}
	return "", w.rollout("shop")
}
