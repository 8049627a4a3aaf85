package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func readText(name string) (string, error) {
	text, err := os.ReadFile(testdata(name))
	return string(text), err
}

// ends are the tokens and the address that most checks need.
func (w *world) ends() (url, alice string, err error) {
	if url, err = w.service("shop"); err != nil {
		return "", "", err
	}
	alice, err = w.token("alice", "shop")
	return url, alice, err
}

const aliceIs = "system:serviceaccount:store:alice"

func (w *world) allowed() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	a := w.ask(once, http.MethodGet, url+"/orders", alice)
	if a.status != http.StatusOK || !a.app || !strings.Contains(a.body, `"user": "`+aliceIs+`"`) {
		return "", fmt.Errorf("want 200 from the app for %s, got %v: %s", aliceIs, a, a.body)
	}
	if hour := a.header.Get("X-Tokyo"); hour != "9" {
		return "", fmt.Errorf("the team's own rule knows no time zones: x-tokyo is %q", hour)
	}
	return "keys from the API server, token from TokenRequest; the app saw " + aliceIs, nil
}

func (w *world) denied() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	elsewhere, err := w.token("alice", "warehouse")
	if err != nil {
		return "", err
	}
	var figures []string
	var faults []error
	for _, c := range []struct {
		what, path, token string
		status            int
	}{
		{"no token", "/orders", "", http.StatusUnauthorized},
		{"forged", "/orders", forged(alice, ":alice", ":admin"), http.StatusUnauthorized},
		{"for another audience", "/orders", elsewhere, http.StatusUnauthorized},
		{"role missing", "/admin", alice, http.StatusForbidden},
		{"no such route", "/debug", alice, http.StatusNotFound},
	} {
		a := w.ask(once, http.MethodGet, url+c.path, c.token)
		figures = append(figures, fmt.Sprintf("%s: %v", c.what, a))
		if a.status != c.status || a.app {
			faults = append(faults, fmt.Errorf("%s: want %d, got %v: %s", c.what, c.status, a, a.body))
		}
	}
	return strings.Join(figures, ", "), errors.Join(faults...)
}

// quota: five an hour and user, counted by each of the two replicas alone.
func (w *world) quota() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	bob, err := w.token("bob", "shop")
	if err != nil {
		return "", err
	}
	const limit, replicas, sent = 5, 2, 60
	passed, limited, retry := 0, 0, ""
	for range sent {
		switch a := w.ask(once, http.MethodPost, url+"/orders", alice); {
		case a.status == http.StatusOK && a.app:
			passed++
		case a.status == http.StatusTooManyRequests && !a.app:
			limited++
			retry = a.header.Get("Retry-After")
		default:
			return "", fmt.Errorf("want 200 or 429, got %v: %s", a, a.body)
		}
	}
	if passed != limit*replicas || retry == "" {
		return "", fmt.Errorf("%d of %d passed, want %d in each of %d replicas; Retry-After %q", passed, sent, limit, replicas, retry)
	}
	if a := w.ask(once, http.MethodPost, url+"/orders", bob); a.status != http.StatusOK {
		return "", fmt.Errorf("bob has a quota of his own and got %v: %s", a, a.body)
	}
	return fmt.Sprintf("%d of %d passed (%d an hour in each of %d replicas), the others 429 with Retry-After %s; another user passes", passed, sent, limit, replicas, retry), nil
}
