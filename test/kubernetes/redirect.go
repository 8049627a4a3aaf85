package main

import (
	"fmt"
	"net/http"
	"strings"
)

// redirected: an app that binds every address needs no change where the kernel may be
// told to redirect its port; that takes a namespace that admits NET_ADMIN.
func (w *world) redirected() (string, error) {
	const place = "legacy"
	text, err := readText("store/app.yaml")
	if err != nil {
		return "", err
	}
	text = strings.NewReplacer("namespace: "+namespace, "namespace: "+place, "127.0.0.1:3000", ":3000", "replicas: 2", "replicas: 1").Replace(text)
	objects, err := w.inject(text, "--set", "capture=redirect")
	if err != nil {
		return "", err
	}
	objects = fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: { name: %s }\n---\n%s", place, objects)
	for _, name := range []string{"authz-config", "authz-policies"} {
		configMap, err := w.kubectl("", "-n", namespace, "get", "configmap", name, "-o", "jsonpath={.data}")
		if err != nil {
			return "", err
		}
		objects += fmt.Sprintf("\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: %s, namespace: %s }\ndata: %s\n", name, place, configMap)
	}
	if _, err := w.apply(objects); err != nil {
		return "", err
	}
	if _, err := w.kubectl("", "-n", place, "rollout", "status", "deployment/shop", "--timeout=150s"); err != nil {
		pods, _ := w.kubectl("", "-n", place, "get", "pods")
		logs, _ := w.kubectl("", "-n", place, "logs", "deployment/shop", "--all-containers", "--tail=5", "--ignore-errors")
		return "", fmt.Errorf("%w\n%s\n%s", err, pods, logs)
	}
	address, err := w.kubectl("", "-n", place, "get", "pods", "-l", "app=shop", "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		return "", err
	}
	alice, err := w.token("alice", "shop")
	if err != nil {
		return "", err
	}
	if a := w.ask(once, http.MethodGet, "http://"+address+":3000/orders", alice); a.status != http.StatusOK || !a.app {
		return "", fmt.Errorf("with a token: %v: %s", a, a.body)
	}
	figures, err := w.noWayAround(address)
	if err != nil {
		return "", err
	}
	_, err = w.kubectl("", "delete", "namespace", place, "--wait=false")
	return figures, err
}
