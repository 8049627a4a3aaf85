package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// killed: without its sidecar a pod refuses; with the next one it serves again, and
// nobody but the sidecar was restarted.
func (w *world) killed() (string, error) {
	_, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	victim := pods[0]
	_, id, err := w.process(victim, "authz")
	if err != nil {
		return "", err
	}
	url := "http://" + victim.Status.PodIP + ":3000/orders"
	if a := w.ask(once, http.MethodGet, url, alice); a.status != http.StatusOK || !a.app {
		return "", fmt.Errorf("before: %v", a)
	}
	if _, err := w.run("", "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "9", id); err != nil {
		return "", err
	}
	start, refused := time.Now(), map[string]int{}
	var back time.Duration
	for back == 0 {
		a := w.ask(once, http.MethodGet, url, alice)
		switch {
		case a.status == http.StatusOK && a.app && len(refused) > 0:
			back = time.Since(start)
		case a.status == http.StatusOK && a.app: // the kill has not come through yet
		case a.app:
			return "", fmt.Errorf("the app was reached without a decision: %v", a)
		default:
			refused[a.String()]++
		}
		if time.Since(start) > patience {
			return "", fmt.Errorf("not back: %v", refused)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if refused["no answer"] > 0 {
		return "", fmt.Errorf("Envoy gave no answer: %v", refused)
	}
	after, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	for _, p := range after {
		if p.Metadata.Name == victim.Metadata.Name &&
			(p.container("authz").RestartCount != 1 || p.container("envoy").RestartCount != 0 || p.container("shop").RestartCount != 0) {
			return "", fmt.Errorf("restarts: %+v", p.Status)
		}
	}
	return fmt.Sprintf("refused meanwhile: %v; served again after %.1f s; Envoy and the app were not restarted", refused, back.Seconds()), w.rollout("shop")
}

// ownRules are the team's, beside the data that the updates change.
const ownRules = "store/policies/app.rego"

// policyWith puts the policies in force with a change in their text.
func (w *world) policyWith(old, text string) error {
	data, err := readText("store/policies/data.yaml")
	if err != nil {
		return err
	}
	if !strings.Contains(data, old) {
		return fmt.Errorf("data.yaml does not hold %q", old)
	}
	file := filepath.Join(w.work, "data.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(data, old, text)), 0o600); err != nil {
		return err
	}
	return w.configMap("authz-policies", file, testdata(ownRules))
}

const closedNews = "path: /news, roles: [admin]"

func (w *world) policyUpdate() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	if a := w.ask(once, http.MethodGet, url+"/news", alice); a.status != http.StatusForbidden {
		return "", fmt.Errorf("before the update: %v", a)
	}
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	t := w.startTraffic(6, url+"/orders", alice)
	if err := w.policyWith(closedNews, "path: /news, authenticated: true"); err != nil {
		t.stop()
		return "", err
	}
	took, err := w.until("the new policy in every pod", func() error {
		for _, p := range pods {
			if a := w.ask(once, http.MethodGet, "http://"+p.Status.PodIP+":3000/news", alice); a.status != http.StatusOK {
				return fmt.Errorf("pod %s: %v", p.Metadata.Name, a)
			}
		}
		return nil
	})
	if err != nil {
		t.stop()
		return "", err
	}
	figures, err := t.end(500)
	return fmt.Sprintf("in force in %d pods after %.1f s; %s", len(pods), took.Seconds(), figures), err
}

func (w *world) brokenPolicy() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	if err := w.policyWith(closedNews, "path: /news, whoever: true"); err != nil {
		return "", err
	}
	took, err := w.until("every pod says that it refused the policy", func() error {
		for _, p := range pods {
			a := w.ask(once, http.MethodGet, "http://"+p.Status.PodIP+":9901/metrics", "")
			if !strings.Contains(a.body, "\nauthz_policy_reload_failures_total ") || strings.Contains(a.body, "\nauthz_policy_reload_failures_total 0\n") {
				return errors.New(p.Metadata.Name + " counts no failure")
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	for path, want := range map[string]int{"/orders": http.StatusOK, "/news": http.StatusOK, "/admin": http.StatusForbidden} {
		if a := w.ask(once, http.MethodGet, url+path, alice); a.status != want {
			return "", fmt.Errorf("%s: %v, want %d", path, a, want)
		}
	}
	// The next good one is taken again.
	if err := w.policyWith(closedNews, closedNews); err != nil {
		return "", err
	}
	recovered, err := w.until("the next good policy in force", func() error {
		for _, p := range pods {
			if a := w.ask(once, http.MethodGet, "http://"+p.Status.PodIP+":3000/news", alice); a.status != http.StatusForbidden {
				return fmt.Errorf("pod %s: %v", p.Metadata.Name, a)
			}
		}
		return nil
	})
	return fmt.Sprintf("refused and counted after %.1f s, the old one decided on; a good one was taken %.1f s later", took.Seconds(), recovered.Seconds()), err
}

func (w *world) rollingRestart() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	before, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	t := w.startTraffic(6, url+"/orders", alice)
	start := time.Now()
	if _, err := w.kubectl("", "-n", namespace, "rollout", "restart", "deployment/shop"); err != nil {
		t.stop()
		return "", err
	}
	if err := w.rollout("shop"); err != nil {
		t.stop()
		return "", err
	}
	// The old pods are under way for a while after the new ones are there.
	_, err = w.until("the old pods are gone", func() error {
		out, err := w.kubectl("", "-n", namespace, "get", "pods", "-l", "app=shop", "-o", "name")
		if err != nil {
			return err
		}
		for _, p := range before {
			if strings.Contains(out, p.Metadata.Name) {
				return errors.New(p.Metadata.Name + " is still there")
			}
		}
		return nil
	})
	took := time.Since(start)
	if err != nil {
		t.stop()
		return "", err
	}
	figures, err := t.end(500)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, w.failures())
	}
	return fmt.Sprintf("%d pods replaced in %.1f s; %s", len(before), took.Seconds(), figures), err
}

// failures are the decisions that failed in the pods that are there now.
func (w *world) failures() string {
	logs, _ := w.kubectl("", "-n", namespace, "logs", "-l", "app=shop", "-c", "authz", "--tail=-1")
	var failed []string
	for line := range strings.Lines(logs) {
		if strings.Contains(line, `"outcome":"failed"`) || strings.Contains(line, `"outcome":"unavailable"`) {
			failed = append(failed, line)
		}
	}
	return tail(strings.Join(failed, ""), 5)
}
