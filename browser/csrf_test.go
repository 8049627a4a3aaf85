package browser

import (
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// form is a script with which a page sends an order as a form does.
const form = `(() => {
	const form = document.createElement('form')
	form.method = 'post'
	form.action = 'ACTION'
	form.innerHTML = '<input name="item" value="ink">'
	document.body.append(form)
	form.submit()
})()`

func formTo(url string) string { return strings.ReplaceAll(form, "ACTION", url) }

// A form needs nobody's leave to be sent across origins, and the session cookie goes
// along (without it the answer were 401). So the sidecar looks where it comes from.
func TestForgedForm(t *testing.T) {
	for _, c := range []struct {
		name, page string
		status     int64
		reached    []string
	}{
		{"the shop's own page", api + "/", http.StatusCreated, []string{"POST /orders alice"}},
		{"a trusted partner's", "https://partner.example.test/", http.StatusCreated, []string{"POST /orders alice"}},
		{"a neighbour's", "https://blog.example.test/", http.StatusForbidden, []string{}},
		{"a stranger's", "https://evil.test/", http.StatusForbidden, []string{}},
		{"the shop's name with another ending", "https://shop.example.test.evil.test/", http.StatusForbidden, []string{}},
		{"the partner's name on another port", "https://partner.example.test:8443/", http.StatusForbidden, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, "")
			p.logIn("alice")
			p.visit(c.page)
			world.shop.forget()
			if got := p.leave(formTo(api + "/orders")); got.Status != c.status {
				t.Errorf("the form was answered %d, want %d", got.Status, c.status)
			}
			if got := world.shop.seen(posts); !reflect.DeepEqual(got, c.reached) {
				t.Errorf("%q reached the shop, want %q", got, c.reached)
			}
		})
	}
}

// A fetch without a preflight is as easy to forge; what the forger may not read has
// been done all the same, if it was let through.
func TestForgedFetch(t *testing.T) {
	for _, c := range []struct {
		name, page string
		options    map[string]any
		status     int64 // over the wire, whatever the page may know
		reached    []string
	}{
		{"the shop's own page", api + "/", nil, http.StatusCreated, []string{"POST /orders alice"}},
		{"a trusted partner's", "https://partner.example.test/", nil, http.StatusCreated, []string{"POST /orders alice"}},
		{"a neighbour's", "https://blog.example.test/", nil, http.StatusForbidden, []string{}},
		{"a neighbour's, who does not ask to read", "https://blog.example.test/", map[string]any{"mode": "no-cors"}, http.StatusForbidden, []string{}},
		{"a stranger's", "https://evil.test/", nil, http.StatusForbidden, []string{}},
		{"a stranger's, who does not ask to read", "https://evil.test/", map[string]any{"mode": "no-cors"}, http.StatusForbidden, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, "")
			p.logIn("alice")
			p.visit(c.page)
			world.shop.forget()
			options := map[string]any{"method": "POST", "credentials": "include", "body": "item=ink",
				"headers": map[string]string{"content-type": "application/x-www-form-urlencoded"}}
			maps.Copy(options, c.options)
			status := p.wire("POST", api+"/orders")
			p.fetch(api+"/orders", options)
			if got := status(); got != c.status {
				t.Errorf("it was answered %d, want %d", got, c.status)
			}
			if got := world.shop.seen(posts); !reflect.DeepEqual(got, c.reached) {
				t.Errorf("%q reached the shop, want %q", got, c.reached)
			}
		})
	}
}

// A sandboxed frame has no origin, and calls itself "null".
func TestForgedFormFromASandbox(t *testing.T) {
	world.shop.serve(newShop())
	p := open(t, "")
	p.logIn("alice")
	p.visit("https://evil.test/")
	world.shop.forget()
	got := p.leave(`(() => {
		const frame = document.createElement('iframe')
		frame.sandbox = 'allow-scripts allow-forms allow-top-navigation'
		frame.srcdoc = '<form method="post" target="_top" action="` + api + `/orders"><input name="item" value="ink"></form><script>document.forms[0].submit()</scr' + 'ipt>'
		document.body.append(frame)
	})()`)
	if got.Status != http.StatusForbidden {
		t.Errorf("the form was answered %d", got.Status)
	}
	if seen := world.shop.seen(posts); len(seen) > 0 {
		t.Errorf("%q reached the shop", seen)
	}
}

// Logging a victim in as the attacker needs no cookie.
func TestForgedLogIn(t *testing.T) {
	world.shop.serve(newShop())
	p := open(t, "https://evil.test/")
	world.shop.forget()
	if got := p.leave(formTo(api + "/login")); got.Status != http.StatusForbidden {
		t.Errorf("the form was answered %d", got.Status)
	}
	if seen := world.shop.seen(posts); len(seen) > 0 {
		t.Errorf("%q reached the shop", seen)
	}
}

// The same forgeries work where nobody stands in front of the shop.
func TestForgeriesReachTheBareShop(t *testing.T) {
	for _, path := range []string{"/orders", "/login"} {
		t.Run(path, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, "https://evil.test/")
			p.leave(formTo("https://bare.example.test" + path))
			if got := world.shop.seen(posts); !reflect.DeepEqual(got, []string{"POST " + path}) {
				t.Errorf("%q reached the shop", got)
			}
		})
	}
}

func posts(v visit) bool { return v.Method == http.MethodPost }
