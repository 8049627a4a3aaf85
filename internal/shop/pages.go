package shop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
)

func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	page(w, http.StatusOK, "Shop", `<p>Hello `+caller(r)+`</p>
<p><a href="/login">Log in</a> <a href="/comments">Comments</a></p>
<form id="order" method="post" action="/orders"><input name="item" value="ink"><button>Order</button></form>
<form id="logout" method="post" action="/logout"><button>Log out</button></form>`)
}

// script is the pages' only one. It says that it ran.
func (s *Shop) script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript")
	_, _ = io.WriteString(w, "document.documentElement.dataset.script = 'ran'\n")
}

func (s *Shop) loginPage(w http.ResponseWriter, _ *http.Request) {
	page(w, http.StatusOK, "Log in", `<form id="login" method="post" action="/login">
<input name="user"><input name="password" type="password"><button>Log in</button></form>`)
}

func (s *Shop) login(w http.ResponseWriter, r *http.Request) {
	if s.Login == nil {
		page(w, http.StatusForbidden, "Log in", "Nobody can log in.")
		return
	}
	token, ok := s.Login(r.PostFormValue("user"), r.PostFormValue("password"))
	if !ok {
		page(w, http.StatusForbidden, "Log in", "Wrong name or password.")
		return
	}
	http.SetCookie(w, session(token, 0))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Shop) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, session("", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// session is the cookie that holds the issuer's token. SameSite=None is what an app
// writes whose API is used from a partner's pages; it leaves forged requests to others.
func session(token string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: "session", Value: token, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteNoneMode} //nolint:gosec // no security code: that is the point
}

// commentsPage prints every comment as it was written, markup and all.
func (s *Shop) commentsPage(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list strings.Builder
	for _, c := range s.Comments {
		fmt.Fprintf(&list, "<li>%s: %s</li>\n", c.Author, c.Text)
	}
	page(w, http.StatusOK, "Comments", `<ul>`+list.String()+`</ul>
<form id="comment" method="post" action="/comments"><input name="text"><button>Send</button></form>`)
}

func (s *Shop) addComment(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.Comments = append(s.Comments, Comment{Author: caller(r), Text: r.PostFormValue("text")})
	s.mu.Unlock()
	http.Redirect(w, r, "/comments", http.StatusSeeOther)
}

func (s *Shop) adminPage(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page(w, http.StatusOK, "Admin", fmt.Sprintf(`<p>%d users, %d orders, %d comments</p>
<form method="post" action="/admin/comments"><button>Remove all comments</button></form>`, len(s.Users), len(s.Orders), len(s.Comments)))
}

func (s *Shop) clearComments(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.Comments = nil
	s.mu.Unlock()
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
}

// report always fails, and says everything about it.
func (s *Shop) report(w http.ResponseWriter, _ *http.Request) {
	err := errors.New(`dial tcp 10.0.3.7:5432: connection refused (user "shop", database "orders")`)
	http.Error(w, fmt.Sprintf("panic: %v\n\n%s", err, debug.Stack()), http.StatusInternalServerError)
}

func page(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	//nolint:gosec // printed as it was written: that is the point
	_, _ = fmt.Fprintf(w, `<!doctype html>
<html lang="en"><head><title>%s</title><script src="/app.js" defer></script></head>
<body><h1>%[1]s</h1>
%s
</body></html>
`, title, body)
}

// newID is a random UUID (RFC 9562, 5.4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
